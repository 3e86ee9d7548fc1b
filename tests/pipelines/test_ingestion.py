"""The ingestion pipeline in process, with the project's own catalog and parameters, on real images."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from kedro.io import DataCatalog
from kedro.runner import SequentialRunner
from kedro.validation.parameter_validator import ParameterValidator
from PIL import Image
from sklearn.datasets import load_digits

from mixvision.configuration import ConfigLoader
from mixvision.images.samples import read_mnist
from mixvision.pipelines.ingestion import create_pipeline
from mixvision.reporting.published import read_published
from mixvision.schema.tables import MANIFEST
from mixvision.settings import CONFIG_LOADER_ARGS

pytestmark = pytest.mark.slow

CONF = Path(__file__).parents[2] / "conf"


@pytest.fixture(scope="session")
def digits(tmp_path_factory) -> Path:
    """Of both bundled samples 30 of each of five digits as image files, in {nice,real}/<digit>."""
    root = tmp_path_factory.mktemp("digits")
    real = load_digits()
    samples = {"nice": read_mnist(), "real": (real.images * 255 / 16, real.target)}
    for domain, (images, labels) in samples.items():
        for digit in range(5):
            (folder := root / domain / str(digit)).mkdir(parents=True)
            for row in np.flatnonzero(labels == digit)[:30]:
                Image.fromarray(np.rint(images[row]).astype(np.uint8)).save(folder / f"{row:04d}.png")
    return root


def run_ingestion(
    project: Path, source: Path, absent: tuple[str, ...] = (), env: str = "base", real: Path | None = None, **changes
) -> dict[str, pd.DataFrame]:
    """Run in an environment, its data below `project`, without the absent domains; the tables by name.

    One source serves both domains, unless `real` is given.
    """
    runtime = {"nice": str(source), "real": str(real or source), "ingestion": changes}
    loader = ConfigLoader(str(CONF), env=env, runtime_params=runtime, **CONFIG_LOADER_ARGS)
    pipeline = create_pipeline()
    parameters = ParameterValidator({"ingestion": pipeline}).validate_raw_params(loader["parameters"])
    configured = loader["catalog"]  # read again each time that it is asked for
    entries = {name: configured[name] for name in pipeline.datasets() if not name.startswith("params:")}
    for domain in absent:
        entries[f"{domain}_source"]["source"] = None
    for entry in entries.values():
        entry["filepath"] = str(project / entry["filepath"])
    catalog = DataCatalog.from_config(entries)
    for name in pipeline.inputs():
        if name.startswith("params:"):
            catalog[name] = parameters["ingestion"][name.rpartition(".")[2]]
    SequentialRunner().run(pipeline, catalog)
    tables = pipeline.all_outputs() - {"ingestion.page", "real_images"}
    return {name: catalog.load(name) for name in tables}


@pytest.fixture(scope="module")
def ingested(tmp_path_factory, digits) -> tuple[Path, dict[str, pd.DataFrame]]:
    """The folder and the tables of one run on all of them, to be read or run again."""
    project = tmp_path_factory.mktemp("ingested")
    return project, run_ingestion(project, digits)


def test_digits(digits, ingested):
    project, tables = ingested
    manifest = tables["manifest"]
    assert list(manifest.columns) == MANIFEST.names and len(manifest) == 300 and (manifest["status"] == "kept").all()
    assert manifest["phash"].dtype == "uint64"
    assert tables["nice_images"].pixels.shape == (150, 24, 24, 3)
    assert (manifest.groupby("cluster")["split"].nunique() == 1).all()
    audit = tables["split_audit"]
    assert len(audit) == 10 and (audit[["train", "validation", "test"]].to_numpy() == [15, 3, 12]).mean() > 0.9
    assert tables["split_summary"].set_index("finding")["count"]["pairs crossing in the splits used"] == 0

    pixels = project / "data" / "02_intermediate" / "digits" / "nice" / "pixels.npy"
    written = pixels.stat().st_mtime_ns
    again = run_ingestion(project, digits)
    pd.testing.assert_frame_equal(again["manifest"], manifest)
    assert pixels.stat().st_mtime_ns == written


def test_another_seed_changes_the_splits_only(tmp_path, digits, ingested):
    first = ingested[1]["manifest"]
    second = run_ingestion(tmp_path, digits, splits={"seed": 1})["manifest"]
    assert (first["split"] != second["split"]).any()
    pd.testing.assert_frame_equal(first.drop(columns="split"), second.drop(columns="split"))


def test_an_archive_with_categories_called_007_and_na(tmp_path, digits):
    for domain in ("nice", "real"):
        for digit, name in (("0", "007"), ("1", "NA")):
            shutil.copytree(digits / domain / digit, tmp_path / "shots" / domain / name)
    (tmp_path / "shots" / "real" / "NA" / "bad.png").write_text("hello")
    tables = run_ingestion(tmp_path / "project", Path(shutil.make_archive(tmp_path / "a", "tar", tmp_path / "shots")))
    raw = tmp_path / "project" / "data" / "01_raw" / "digits"
    assert [path.name for path in raw.iterdir()] == [".unpacked"], "other files there are the user's"
    assert tables["split_audit"]["category"].tolist() == ["007", "NA"] * 2
    assert tables["excluded_files"]["category"].tolist() == ["NA"]


def test_bad_files_do_not_stop_the_run(tmp_path, digits):
    for domain in ("nice", "real"):
        for digit in "01":
            (tmp_path / "shots" / domain / digit).mkdir(parents=True)
            for path in (digits / domain / digit).iterdir():
                (tmp_path / "shots" / domain / digit / path.name).write_bytes(path.read_bytes())
    bad = tmp_path / "shots" / "real" / "0"
    (bad / "empty.png").write_bytes(b"")
    (bad / "text.png").write_text("hello")
    (bad / "cut.png").write_bytes((digits / "nice/0").iterdir().__next__().read_bytes()[:150])
    Image.new("L", (9, 9)).save(bad / "moving.gif", save_all=True, append_images=[Image.new("L", (9, 9), 255)])
    Image.new("RGB", (1, 20_000), "red").save(bad / "thread.png")
    tables = run_ingestion(tmp_path / "project", tmp_path / "shots")
    excluded = tables["excluded_files"].set_index("path")["reason"]
    assert set(excluded.index) == {"0/empty.png", "0/text.png", "0/cut.png", "0/moving.gif"}
    assert tables["excluded_counts"]["files"].sum() == 4
    kept = tables["manifest"][tables["manifest"]["status"] == "kept"].set_index("id")
    assert len(kept) == 121 and kept.loc["real/0/thread.png", ["width", "height"]].tolist() == [1, 20_000]


@pytest.fixture
def real_digits(tmp_path, digits) -> Path:
    """Three digits of the real domain, as folders of their own."""
    for digit in "012":
        shutil.copytree(digits / "real" / digit, tmp_path / "photos" / digit)
    return tmp_path / "photos"


def test_a_study_of_one_domain(run_pipeline, real_digits):
    """As the command runs it, with null for the absent domain; the mixing pipeline stops before it does anything."""
    Image.new("RGB", (40, 30), "red").save(real_digits / "2" / "wide.png")
    study = {"study": "one", "nice": {"source": None}, "real": {"source": str(real_digits)}, "image_size": 16}
    changes = {"ingestion": {"outliers": {"dimensions": [[8, 8]]}, "splits": {"test": 0.2, "validation": 0.2}}}
    with pytest.raises(ValueError, match=r"none of the domain 'nice': set nice\.source .* pipelines baselines"):
        run_pipeline("mixing", changes, study)
    assert not list(Path("data").glob("[!.]*/one"))
    run_pipeline("ingestion", changes, study)
    manifest = pd.read_parquet("data/03_primary/one/manifest.parquet").set_index("id")
    assert set(manifest["domain"]) == {"real"} and len(manifest) == 91
    assert manifest.loc["real/2/wide.png", "reason"] == "outlier by dimensions: 40x30"
    kept = manifest[manifest["status"] == "kept"]
    assert kept.groupby(["category", "split"]).size().tolist() == [6, 18, 6] * 3
    assert (kept.groupby("cluster")["split"].nunique() == 1).all()
    assert np.load("data/02_intermediate/one/nice/pixels.npy").shape == (0, 16, 16, 3)


@pytest.mark.parametrize("absent", ["nice", "real"])
def test_one_domain_is_audited_like_two(tmp_path, digits, ingested, absent):
    tables, both = run_ingestion(tmp_path, digits, absent=(absent,)), ingested[1]
    for name, columns in (("split_audit", ["category", "images"]), ("manifest", ["path", "phash", "status"])):
        expected = both[name][both[name]["domain"] != absent][["domain", *columns]]
        pd.testing.assert_frame_equal(tables[name][["domain", *columns]], expected.reset_index(drop=True))
    findings = tables["split_summary"].set_index("finding")["count"]
    assert findings["pairs crossing in the splits used"] == findings["categories without validation images"] == 0


def test_groups_and_published_splits_of_the_configuration_arrive_as_they_are_written(run_pipeline, real_digits):
    """Kedro would make a value called path absolute."""
    rows = pd.DataFrame({"name": sorted(f"{path.parent.name}/{path.name}" for path in real_digits.rglob("*.png"))})
    rows["subset"] = ["train", "train", "val", "test", "test"] * (len(rows) // 5)
    rows.to_csv(real_digits / "splits.csv", index=False)
    source = {
        "source": str(real_digits),
        "group": {"pattern": "(?P<group>[0-9]+/[0-9])"},
        "split": {"table": "splits.csv", "file": "name", "split": "subset"},
    }
    settings = {"study": "published", "image_size": 16, "nice": {"source": None}, "real": source}
    project = run_pipeline("ingestion", {"ingestion": {"splits": {"method": "published"}}}, settings)
    manifest = pd.read_parquet(project / "data/03_primary/published/manifest.parquet")
    manifest = manifest[manifest["status"] == "kept"]
    paths = manifest["path"]
    assert manifest["group"].tolist() == [path[: path.index("/") + 2] for path in paths]
    published = rows.set_index("name")["subset"].replace("val", "validation")
    assert manifest["split"].tolist() == published[paths].tolist()
    leaks = pd.read_csv(project / "data/08_reporting/published/ingestion/split_leaks.csv")
    assert len(leaks) == manifest["leaks"].sum() > 0 and set(leaks["kind"]) <= {
        "same group",
        "linked",
        "near-duplicate",
    }


def test_the_command_line_overrides_an_absent_domain(project):
    (project / "conf" / "local" / "globals.yml").write_text("nice: {source: null}")
    for runtime, source in (({}, None), ({"nice": "photos"}, "photos")):
        loader = ConfigLoader(str(project / "conf"), runtime_params=runtime, **CONFIG_LOADER_ARGS)
        entry = loader["catalog"]["nice_source"]
        assert (entry["source"], entry["sha256_of"]) == (source, None)


def test_a_study_without_domains_is_refused(tmp_path, digits):
    with pytest.raises(ValueError, match=r"^The study has no images: set nice\.source, real\.source or both"):
        run_ingestion(tmp_path, digits, absent=("nice", "real"))


def test_a_category_of_one_image_is_refused_by_name(tmp_path, real_digits):
    for path in sorted((real_digits / "1").iterdir())[1:]:
        path.unlink()
    with pytest.raises(ValueError, match=r"categories\.minimum = 10: real '1' \(1\)\."):
        run_ingestion(tmp_path, real_digits, absent=("nice",))


def unpack_part(archive: Path, folder: Path, wanted: Callable[[str], bool]) -> Path:
    with tarfile.open(archive) as tar:
        tar.extractall(folder, [member for member in tar.getmembers() if wanted(member.name)], filter="data")
    return folder


def test_tiny_imagenet(tmp_path, shared_data, monkeypatch):
    """Two of its classes in its environment: training images divided; a tenth of the others by labels."""
    monkeypatch.chdir(CONF.parent)
    classes = ("n01443537", "n02085620")
    archive = shared_data("tiny-imagenet.tar")
    labels = unpack_part(archive, tmp_path / "tiny", lambda name: name.endswith("annotations.txt"))
    labels = pd.read_csv(labels / "val/val_annotations.txt", sep="\t", header=None)
    own = set(labels.loc[labels[1].isin(classes), 0])
    part = unpack_part(
        archive,
        tmp_path / "tiny",
        lambda name: (
            (name.startswith("val/") and (Path(name).name in own or name.endswith("7.JPEG")))
            or any(f"train/{wordnet_id}/" in name for wordnet_id in classes)
        ),
    )
    tables = run_ingestion(tmp_path, part, env="tiny_imagenet")
    kept = tables["manifest"][tables["manifest"]["status"] == "kept"]
    counts = kept.groupby(["domain", "split", "category"]).size()
    assert set(kept["category"]) == set(classes)
    expected = {("nice", "test"): [8, 8], ("nice", "train"): [59, 59], ("nice", "validation"): [8, 8]}
    assert {key: list(sizes) for key, sizes in counts.groupby(level=[0, 1])} == expected | {("real", "test"): [20, 20]}
    assert tables["nice_images"].pixels.shape[1:] == (64, 64, 3)
    assert tables["split_summary"].set_index("finding")["count"]["pairs crossing in the splits used"] == 0


def test_dogs(tmp_path, shared_data, monkeypatch):
    """Stand-ins for Stanford Dogs and ImageNetV2: two breeds of Tiny-ImageNet, and one photo of each breed."""
    monkeypatch.chdir(CONF.parent)
    part = unpack_part(
        shared_data("tiny-imagenet.tar"),
        tmp_path / "tiny",
        lambda name: (
            name == "words.txt" or any(f"train/{dog}/" in name for dog in ("n02085620", "n02094433", "n01443537"))
        ),
    )
    samples = shared_data("imagenet-samples.tar")
    tables = run_ingestion(tmp_path, part, env="dogs", real=samples, decoding={"size": 32})
    kept = tables["manifest"][tables["manifest"]["status"] == "kept"]
    counts = kept.groupby(["domain", "category"])["split"].value_counts().unstack(fill_value=0)
    assert set(kept["category"]) == {"n02085620-Chihuahua", "n02094433-Yorkshire_terrier"}
    assert (counts.loc["nice", ["train", "validation", "test"]] == [25, 30, 20]).all(axis=None)
    assert (counts.loc["real", ["train", "validation", "test"]] == [0, 0, 1]).all(axis=None)
    unmapped = tables["excluded_counts"].set_index("kind")["files"]["folder not in the mapping: n01443537"]
    assert unmapped == len([path for path in (part / "train" / "n01443537").rglob("*") if path.is_file()]) > 0


def test_flowers(tmp_path, shared_data, monkeypatch):
    """A tenth of the photos; the study has one domain only."""
    monkeypatch.chdir(CONF.parent)
    part = unpack_part(shared_data("flowers.tar"), tmp_path / "flowers", lambda name: sum(name.encode()) % 10 == 0)
    tables = run_ingestion(tmp_path, part, absent=("nice",), env="flowers", decoding={"size": 32})
    kept = tables["manifest"][tables["manifest"]["status"] == "kept"]
    assert kept["category"].nunique() == 5 and set(kept["domain"]) == {"real"} and len(kept) > 100
    shares = kept["split"].value_counts(normalize=True)
    assert shares.to_dict() == pytest.approx({"train": 0.7, "test": 0.2, "validation": 0.1}, abs=0.03)


@pytest.mark.parametrize("study", ["tiny_imagenet", "flowers", "dogs", "berries"])
def test_published_numbers_of_transfer_learning_are_fractions(study):
    published = read_published(CONF / study / "published.yml").transfer
    assert published.source and published.note
    for row in published.rows:
        model, method, *numbers = row.values()
        assert list(row)[:2] == ["model", "method"] and model and method
        assert numbers and all(0 < number < 1 for number in numbers)


def test_fruits(tmp_path, shared_data, monkeypatch):
    """Five fruits in their environment: all frames of one turn stay together. Copies by hash alone, which is faster."""
    monkeypatch.chdir(CONF.parent)
    fruits = ("Apple", "Kiwi", "Peach", "Pomegranate", "Strawberry")
    part = unpack_part(shared_data("fruits.tar"), tmp_path / "fruits", lambda name: name.split("/")[1] in fruits)
    tables = run_ingestion(tmp_path, part, env="fruits", duplicates={"altered_copies": False})
    manifest = tables["manifest"]
    assert manifest.groupby("domain").size().to_dict() == {"nice": 1400, "real": 581}
    nice = manifest[manifest["domain"] == "nice"]
    turns = nice["path"].str.replace(r"\d+_\d+\.jpg$", "", regex=True)
    assert turns.nunique() == nice["group"].nunique() == 29 and (nice.groupby(turns)["split"].nunique() == 1).all()
    summary = tables["split_summary"].set_index("finding")
    findings = summary["count"]
    assert findings["near-duplicate pairs"] == len(tables["near_duplicates"]) > 800
    assert findings["near-duplicate pairs across categories"] == 0
    assert findings["pairs a plain random split would leak"] > 400
    assert findings["held-out images of a group that a plain random split would train on"] == 700
    assert findings["held-out images of a group trained on in the splits used"] == 0
    assert findings["pairs crossing in the splits used"] == 0
    assert summary.loc["categories without test images", "detail"] == "nice Pomegranate"
    of_several_turns = manifest[manifest["category"] != "Pomegranate"]
    tests = (of_several_turns["split"] == "test").groupby(of_several_turns["domain"]).mean()
    assert tests.between(0.39, 0.42).all()
