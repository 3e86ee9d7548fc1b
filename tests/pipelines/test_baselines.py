"""The baselines and the sanity check end to end, as ``kedro run`` runs them, on studies of one and of two domains."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from page_reader import Reader
from PIL import Image

from mixvision.models.trained import TrainedNetwork

pytestmark = pytest.mark.slow

BRIEF = {
    "baselines": {
        "study": {
            "models": ["random", "linear", "cnn"],
            "augmentation": "expand",
            "batch_size": 16,
            "batch_sizes": [],
            "learning_rates": [0.001, 1e20],
            "augmentations": ["none"],
        },
        "training": {"epochs": 2, "accelerator": "cpu"},
    }
}
REPORT = "data/08_reporting/letters/baselines"


def write_images(folder: Path, images: np.ndarray) -> Path:
    """Forty of each category."""
    for row, pixels in enumerate(images):
        path = folder / str(row // 40) / f"{row:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return folder


@pytest.fixture
def letters(tmp_path, small_pixels) -> dict:
    """Global settings of a study of one domain: three digits of 40 images each, and one of another size."""
    folder = write_images(tmp_path / "letters", small_pixels["real"])
    Image.fromarray(small_pixels["real"][0]).resize((16, 24)).save(folder / "0" / "odd.png")
    return {"study": "letters", "image_size": 16, "nice": {"source": None}, "real": {"source": str(folder)}}


def small_study(models: list[str]) -> dict:
    """These models, with no variants."""
    plain = {"models": models, "ablated": models[0], "batch_sizes": [], "learning_rates": [], "augmentations": []}
    study = {**BRIEF["baselines"]["study"], **plain, "dropouts": [], "leaky_split": False}
    return {"baselines": {**BRIEF["baselines"], "study": study}}


def with_dimensions(parameters: dict) -> dict:
    return {**parameters, "ingestion": {"outliers": {"dimensions": [[16, 16]]}}}


def test_a_study_of_one_domain_saves_all_its_results(run_pipeline, letters):
    project = run_pipeline("baselines", with_dimensions(BRIEF), letters)
    report = project / REPORT
    table = pd.read_csv(report / "table.csv").set_index("trial")
    assert table["status"].to_dict() == {
        "random": "finished",
        "linear": "finished",
        "cnn": "finished",
        "cnn-learning-rate-1e+20": "failed",
        "cnn-without-dropout": "finished",
        "cnn-augmentation-none": "finished",
        "cnn-leaky-split": "finished",
        "cnn-leaky-split-as-many-photos": "finished",
    }
    finished = table[table["status"] == "finished"]
    assert finished[["test_top1", "last_test_top1", "test_low", "test_high"]].stack().between(0, 1).all()
    assert finished["validation_top1"].isna().to_dict() == {name: "leaky" in name for name in finished.index}
    photos = table.loc[["cnn", "cnn-leaky-split-as-many-photos"], ["train_photos", "validation_photos"]]
    assert photos.to_numpy().tolist() == [[60, 12]] * 2
    layers = pd.read_csv(report / "layers.csv")
    assert (layers.groupby("model")["parameters"].sum() == table.loc[["cnn", "linear"], "parameters"]).all()

    page = Reader((report / "page.html").read_text())
    models = page.table("model", "best epoch").set_index("model")["test"]
    assert models.to_dict() == {name: f"{table.loc[name, 'test_top1']:.3f}" for name in ("random", "linear", "cnn")}
    rates = page.table("learning rate", "best epoch").set_index("learning rate")
    assert rates.loc["0.001", "test"] == models["cnn"] and rates.loc["1e+20", "best epoch"] == "failed"
    sizes = page.table("domain", "width", "height").to_numpy().tolist()
    assert sizes == [["real", "16", "16", "120", "120"], ["real", "16", "24", "1", "0"]]
    assert page.table("id", "reason").iloc[0, :2].tolist() == ["real/0/odd.png", "outlier by dimensions: 16x24"]
    outcomes = pd.read_csv(project / "data/07_model_output/letters/baselines/outcomes.csv").set_index("trial")
    reason = outcomes.loc["cnn-learning-rate-1e+20", "reason"]
    assert f"Missing: cnn-learning-rate-1e+20 (failed). {reason}" in page.text
    assert {path.stem for path in report.glob("*.png")} == {"samples", "mistakes", "hardest", "excluded"}
    assert not (project / "data/06_models/letters/baselines/checkpoints").exists()

    network = TrainedNetwork.load(project / "data/06_models/letters/baselines/networks/cnn/best_validation.safetensors")
    predictions = pd.read_parquet(project / "data/07_model_output/letters/baselines/predictions.parquet")
    manifest = pd.read_parquet(project / "data/03_primary/letters/manifest.parquet").set_index("id")
    best = finished["validation_top1"].idxmax()  # of equals the first of the table
    judged = predictions[(predictions["trial"] == best) & (predictions["snapshot"] == "best_validation")]
    judged = judged.join(manifest[["category", "split"]], on="id")
    wrong = judged[(judged["split"] == "test") & (judged["prediction_1"] != judged["category"])]
    confused = page.table("true category", "prediction").set_index(["true category", "prediction"])["images"]
    assert confused.astype(int).to_dict() == wrong.groupby(["category", "prediction_1"]).size().to_dict()
    ours = predictions[(predictions["trial"] == "cnn") & (predictions["snapshot"] == "best_validation")].iloc[0]
    pixels = Image.open(Path(letters["real"]["source"]) / manifest.loc[ours["id"], "path"]).convert("RGB")
    probabilities = network.classify([pixels])[0]
    assert network.categories[probabilities.argmax()] == str(ours["prediction_1"])
    assert probabilities.max() == pytest.approx(ours["probability_1"], abs=1e-3)

    mlflow.set_tracking_uri(f"sqlite:///{project}/mlflow.db")
    runs = mlflow.search_runs(experiment_names=["letters"])
    children = runs.dropna(subset="tags.mlflow.parentRunId").set_index("tags.mlflow.runName")
    assert set(children.index) == set(table.index)
    failed = children.loc["cnn-learning-rate-1e+20"]
    assert failed["status"] == "FAILED" and failed["tags.failure"] == reason and "diverged" in reason
    cnn = children.loc["cnn"]
    assert cnn["params.learning_rate"] == "0.001" and cnn["params.augmentation"] == "expand"
    assert cnn["metrics.selected/test/top1"] == pytest.approx(table.loc["cnn", "test_top1"])
    client = mlflow.MlflowClient()
    steps = {metric.step for metric in client.get_metric_history(cnn["run_id"], "validation/top1")}
    assert len(steps) == 2 and max(steps) == 2 * min(steps)


def test_two_domains_train_together_and_are_measured_apart(run_pipeline, letters, tmp_path, small_pixels):
    both = {**letters, "nice": {"source": str(write_images(tmp_path / "nice", small_pixels["nice"]))}}
    project = run_pipeline("baselines", small_study(["linear"]), both)
    (row,) = pd.read_csv(project / REPORT / "table.csv").to_dict("records")
    manifest = pd.read_parquet(project / "data/03_primary/letters/manifest.parquet")
    predictions = pd.read_parquet(project / "data/07_model_output/letters/baselines/predictions.parquet")
    tested = manifest.loc[manifest["split"] == "test", ["id", "domain", "category"]]
    judged = predictions[predictions["snapshot"] == "best_validation"].merge(tested, on="id")
    accuracy = (judged["prediction_1"] == judged["category"]).groupby(judged["domain"]).mean()
    assert row["trial"] == "linear" and len(judged) == 2 * 48
    assert {domain: row[f"{domain}_test_top1"] for domain in ("nice", "real")} == pytest.approx(accuracy.to_dict())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"baselines": {"study": {"batch_size": 4096}}}, "batch_size is 4096"),
        ({"baselines": {"study": {"models": ["cnn", "basic_cnn"]}}}, "image_size is 16, but .* 32"),
        ({"baselines": {"study": {"models": ["resnet"]}}}, r"models is \['resnet'\]"),
        ({"ingestion": {"splits": {"validation": 0.0}}}, "validation is 0.0"),
        ({"baselines": {"training": {"patience": 0}}}, "patience is 0"),
    ],
)
def test_bad_settings_are_refused_with_their_values(run_pipeline, letters, changes, sentence):
    with pytest.raises(Exception, match=sentence):
        run_pipeline("baselines", changes, letters)


def test_a_class_with_a_single_image_is_refused_before_training(run_pipeline, letters, small_pixels):
    folder = Path(letters["real"]["source"]) / "lonely"
    folder.mkdir()
    Image.fromarray(small_pixels["nice"][0]).save(folder / "one.png")
    with pytest.raises(ValueError, match=r"Too few usable images.*'lonely' \(1\)"):
        run_pipeline("baselines", BRIEF, letters)


def test_images_that_cannot_be_read_or_hardly_resized_do_not_stop_a_run(run_pipeline, letters):
    folder = Path(letters["real"]["source"]) / "1"
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n no image")
    Image.new("RGB", (1, 20_000)).save(folder / "thread.png")
    project = run_pipeline("baselines", small_study(["linear"]), letters)
    manifest = pd.read_parquet(project / "data/03_primary/letters/manifest.parquet").set_index("id")
    assert manifest.loc["real/1/thread.png", ["status", "width", "height"]].tolist() == ["kept", 1, 20_000]
    excluded = manifest[manifest["status"] == "excluded"]
    assert list(excluded.index) == ["real/1/broken.png"]
    shown = Reader((project / REPORT / "page.html").read_text()).table("id", "reason", "bytes")
    assert shown.to_numpy().tolist() == [["real/1/broken.png", excluded["reason"].item(), "17"]]


def test_a_validation_share_that_leaves_a_class_empty_is_refused(run_pipeline, letters, small_pixels):
    """All images of a class but one are near-duplicates of each other: none is left for validation."""
    folder = Path(letters["real"]["source"]) / "alike"
    folder.mkdir()
    for number in range(12):
        picture = small_pixels["nice"][0].copy()
        picture[0, 0] = number  # not equal, but nearly so
        Image.fromarray(picture).save(folder / f"{number}.png")
    Image.fromarray(small_pixels["nice"][50]).save(folder / "other.png")
    with pytest.raises(ValueError, match="No validation image is left for 'alike'"):
        run_pipeline("baselines", BRIEF, letters)


def test_the_sanity_check_passes_and_fails(run_pipeline, letters):
    check = {"models": ["linear", "mlp"], "overfitting": {"steps": 100}}
    project = run_pipeline("sanity_check", {"sanity_check": check}, letters)
    report = project / "data/08_reporting/letters/sanity_check"
    table = pd.read_csv(report / "table.csv")
    assert table["passed"].all() and (table["steps"] <= 100).all()
    hopeless = {"models": ["linear"], "overfitting": {"steps": 2, "learning_rate": 1e-9}}
    with pytest.raises(RuntimeError, match=r"a few images: linear \(\d+\.\d% after 2 steps\)"):
        run_pipeline("sanity_check", {"sanity_check": hopeless}, letters)
    assert not pd.read_csv(report / "table.csv")["passed"].any()  # the table exists all the same
    for wrong in (["perceptron"], [], "cnn"):
        with pytest.raises(ValueError, match=re.escape(f"sanity_check.models is {wrong!r}; give a list")):
            run_pipeline("sanity_check", {"sanity_check": {"models": wrong}}, letters)


def test_the_berries_environment_in_small(run_pipeline, project, shared_data, tmp_path):
    """The study's own photos and environment, reduced: a tenth of the photos, 32 pixels, one epoch and two variants."""
    photos = tmp_path / "berries"
    with tarfile.open(shared_data("berries.tar")) as archive:
        members = [member for member in archive.getmembers() if member.name.endswith(("0.jpg", "5.jpg"))]
        archive.extractall(photos, members[::2], filter="data")
    change(project / "conf/berries/globals.yml", image_size=32, real={"source": str(photos)})
    lists = {"models": ["random", "cnn"], "batch_sizes": [64], "learning_rates": [], "augmentations": []}
    file = project / "conf/berries/parameters_baselines.yml"
    settings = yaml.safe_load(file.read_text())["baselines"]
    settings["study"] |= lists
    change(file, baselines=settings | {"training": {"epochs": 1}})

    project = run_pipeline("baselines", env="berries")
    report = project / "data/08_reporting/berries/baselines"
    table = pd.read_csv(report / "table.csv").set_index("trial")
    assert table.loc["cnn-batch-size-64", ["published_train", "published_validation"]].tolist() == [0.851, 0.717]
    base = table.loc["cnn", ["batch_size", "learning_rate", "augmentation", "published_validation"]]
    assert base.tolist() == [8, 1e-4, "expand", 0.745]
    manifest = pd.read_parquet(project / "data/03_primary/berries/manifest.parquet")
    kept = manifest[manifest["status"] == "kept"]
    assert (kept[["width", "height"]] == 300).all(axis=None) and set(kept["domain"]) == {"real"}
    assert table.loc["cnn", "iterations"] == (kept["split"] == "train").sum() * 8 // 8  # eight views, batches of eight
    assert table.loc["cnn-leaky-split", ["views_top1", "test_top1"]].notna().all()
    page = Reader((report / "page.html").read_text())
    sizes = page.table("batch size", "published train").set_index("batch size")
    assert sizes.loc["64", ["published train", "published validation"]].tolist() == ["0.851", "0.717"]
    assert sizes["test"].tolist()[:2] == [
        f"{table.loc[name, 'test_top1']:.3f}" for name in ("cnn", "cnn-batch-size-64")
    ]
    assert re.search(r"\b32 pixels\b.*\b300\b", page.text), "ours are smaller than the study's"


def change(file: Path, **settings) -> None:
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | settings))
