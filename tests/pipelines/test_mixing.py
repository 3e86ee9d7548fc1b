"""The main job end to end, as ``kedro run`` runs it: hooks, catalog, MLflow and all."""

from __future__ import annotations

import base64
import json
import shutil
import sqlite3
import time

import mlflow
import nbformat
import numpy as np
import pandas as pd
import pytest
import sqlalchemy
from kernel import NOTEBOOKS, printed, run_notebook
from page_reader import Reader

from mixvision.models.trained import TrainedNetwork
from mixvision.reporting.names import plain_name
from mixvision.training.events import TrainingListener
from mixvision.vocabulary import BEST_IN, SNAPSHOTS

pytestmark = pytest.mark.slow

BRIEF = {
    "mixing": {
        "mixtures": {"ratios": [0, 50, 100]},
        "training": {"iterations": 8, "evaluate_every": 4, "checkpoint_every": 2, "accelerator": "cpu"},
    }
}


def runs(project) -> tuple[pd.Series, pd.DataFrame]:
    """The newest Kedro run and its child runs in MLflow."""
    mlflow.set_tracking_uri(f"sqlite:///{project}/mlflow.db")
    found = mlflow.search_runs(experiment_names=["digits"], order_by=["attributes.start_time DESC"])
    parent = found[found["tags.mlflow.parentRunId"].isna()].iloc[0]
    return parent, found[found["tags.mlflow.parentRunId"] == parent["run_id"]]


def read_page(project) -> Reader:
    return Reader((project / "data/08_reporting/digits/mixing/page.html").read_text())


@pytest.fixture(scope="module")
def finished_once(run_apart, few_digits):
    return run_apart("mixing", BRIEF, few_digits)


@pytest.fixture
def finished(finished_once, project):
    """A project with the data of a finished run; its MLflow is empty."""
    shutil.copytree(finished_once / "data", project / "data")
    return project


def test_the_main_job_saves_all_its_results(run_pipeline):
    finished = run_pipeline("mixing", BRIEF, {"image_size": 16})
    report = finished / "data/08_reporting/digits/mixing"
    metrics = pd.read_csv(report / "metrics.csv")
    assert set(metrics["trial"]) == {"ratio-000-seed-0", "ratio-050-seed-0", "ratio-100-seed-0"}
    assert metrics.filter(like="top1").stack().between(0, 1).all()
    table = pd.read_csv(report / "metric_table.csv")
    assert set(table["ratio"]) == {0, 50, 100} and set(table["snapshot"]) == {*SNAPSHOTS, *BEST_IN.values()}
    assert len(list(report.glob("*.json"))) == 5 and len(list(report.glob("*.png"))) == 3
    assert not (finished / "data/06_models/digits/mixing/checkpoints").exists()

    manifest = pd.read_parquet(finished / "data/03_primary/digits/manifest.parquet")
    assert len(manifest) == 5000 + 1797

    page = read_page(finished)
    assert page.title == "Handwritten digits: mixing" and len(page.figures) == 5 and len(page.images) > 3
    tested = metrics[metrics["split"] == "test"].set_index(["trial", "snapshot"])["performance_top1"]
    rows = page.table("% real", "95% interval").set_index("% real")
    for snapshot in SNAPSHOTS:
        expected = {str(ratio): f"{tested[f'ratio-{ratio:03d}-seed-0', snapshot]:.3f}" for ratio in (0, 50, 100)}
        assert rows[plain_name(snapshot)].to_dict() == expected
    validated = metrics[(metrics["split"] == "validation") & (metrics["snapshot"] == "best_validation")]
    best = validated.set_index("trial")["performance_top1"].idxmax()
    assert page.key_numbers[:2] == [f"{int(best[6:9])}%", f"{tested[best, 'best_validation']:.3f}"]
    kept = page.table("domain", "kept", "train").set_index("domain")[["kept", "train", "test"]]
    kept = kept.replace(",", "", regex=True).astype(int)
    counts = manifest.groupby(["domain", "split"]).size().unstack()
    assert kept.to_numpy().tolist() == counts.assign(kept=[5000, 1797])[["kept", "train", "test"]].to_numpy().tolist()
    assert {"Split audit", "Excluded files"} <= set(page.headings)
    findings = page.table("finding", "count").set_index("finding")["count"]
    pairs = pd.read_parquet(finished / "data/03_primary/digits/near_duplicates.parquet")
    assert int(findings["near-duplicate pairs"].replace(",", "")) == len(pairs) > 0
    sets = pd.read_parquet(finished / "data/05_model_input/digits/mixing/training_sets.parquet")
    assert set(manifest.set_index("id").loc[sets["id"], "split"]) == {"train"}
    assert sets.groupby("trial").size().nunique() == 1  # balanced, so all of one size

    network = TrainedNetwork.load(next(finished.glob("data/06_models/digits/mixing/networks/*/last.safetensors")))
    assert network.categories == tuple("0123456789") and network.image_size == 16

    parent, children = runs(finished)
    assert parent["status"] == "FINISHED" and len(children) == 3
    assert children["params.ratio"].tolist() == ["0", "50", "100"]  # in MLflow's order, the latest first
    assert set(children["params.iterations"]) == {"8"} and set(children["params.l2"]) == {"0.05"}
    settings = {
        "trial",
        "ratio",
        "seed",
        "learning_rate",
        "l2",
        *BRIEF["mixing"]["training"],
        "precision",
        "stack_size",
    }
    assert {name for name in children if name.startswith("params.")} - {
        name for name in children if children[name].isna().all()
    } == {f"params.{name}" for name in settings}
    tested = metrics[(metrics["snapshot"] == "last") & (metrics["split"] == "test")].set_index("trial")
    client = mlflow.MlflowClient()
    for child in children.itertuples():
        assert child.status == "FINISHED"
        curve = client.get_metric_history(child.run_id, "test/performance_top1")
        assert [point.step for point in curve] == [4, 8]
        name = client.get_run(child.run_id).info.run_name
        assert curve[-1].value == pytest.approx(tested.loc[name, "performance_top1"], abs=1e-6)
        assert [artifact.path for artifact in client.list_artifacts(child.run_id)] == ["best_validation.safetensors"]
    chosen = validated.set_index("trial")["performance_top1"].idxmax()
    assert parent["params.selected/ratio"] == str(int(chosen[6:9]))
    answer = metrics.query("snapshot == 'best_validation'").set_index(["trial", "split"])["performance_top1"]
    for split in ("validation", "test"):
        logged = parent[f"metrics.selected/{split}/performance_top1"]
        assert logged == pytest.approx(answer[chosen, split])
        shown = children.set_index("tags.mlflow.runName")[f"metrics.selected/{split}/performance_top1"]
        pd.testing.assert_series_equal(shown.sort_index(), answer.xs(split, level="split"), check_names=False)
    assert children.set_index("tags.selected")["tags.mlflow.runName"].get("yes") == chosen
    outputs = client.get_run(parent["run_id"]).outputs.model_outputs
    assert [client.get_logged_model(output.model_id).name for output in outputs] == [chosen]
    assert parent["tags.kedro_command"] == "kedro run --pipelines=mixing"
    assert parent["params.mixing.training.iterations"] == "8" and parent["tags.pipeline"] == "mixing"
    shown = parent["tags.mlflow.note.content"].split("\n\n")
    assert shown[0].endswith("/artifacts/mixing/page.html)") and shown[-1].startswith("| % real |")
    assert sorted(shown[1:]) == sorted((report / "summary.md").read_text().strip().split("\n\n"))
    images = {inputs.dataset.name: inputs.dataset for inputs in client.get_run(parent["run_id"]).inputs.dataset_inputs}
    assert set(images) == {"digits/nice", "digits/real"} and json.loads(images["digits/real"].profile)["images"] == 1797
    logged = {artifact.path for artifact in client.list_artifacts(parent["run_id"], "mixing")}
    assert {"mixing/page.html", "mixing/metric_table.csv", "mixing/accuracy.json", "mixing/mistakes.png"} <= logged


def test_two_runs_give_the_same_table_and_do_not_decode_again(finished, run_pipeline, few_digits):
    table = finished / "data/08_reporting/digits/mixing/metric_table.csv"
    pixels = finished / "data/02_intermediate/digits/nice/pixels.npy"
    first, decoded = table.read_text(), pixels.stat().st_mtime_ns
    run_pipeline("mixing", BRIEF, few_digits)
    assert table.read_text() == first
    assert pixels.stat().st_mtime_ns == decoded


FIGURE = "application/vnd.plotly.v1+json"
TOUR = """
import json

from kedro.io import DataCatalog

told = {
    "missed": missed["id"].tolist(),
    "best": best,
    "image": image["id"],
    "answer": dict(zip(network.categories, probabilities[0].tolist())),
    "selected": newest["metrics.selected/test/performance_top1"].to_dict(),
}
catalog = DataCatalog()
try:
    exec(FIRST_LOADING)
except FileNotFoundError as error:
    told["without results"] = str(error)
print(json.dumps(told))
"""


def test_the_tour_shows_what_the_study_found(finished_once, tmp_path):
    """The notebook runs in a folder of the project, and its answers are those of the files."""
    folder = finished_once / "notebooks"
    folder.mkdir()
    (loading,) = [cell.source for cell in nbformat.read(NOTEBOOKS["tour"], 4).cells if cell.id == "manifest"]
    cells = run_notebook("tour", folder, tmp_path, f"FIRST_LOADING = {loading!r}\n{TOUR}").cells
    told, shown = json.loads(cells[-1].outputs[0].text), {cell.id: cell for cell in cells}
    assert "run kedro run --pipelines=mixing" in told["without results"]

    data = finished_once / "data"
    manifest = pd.read_parquet(data / "03_primary/digits/manifest.parquet")
    predictions = pd.read_parquet(data / "07_model_output/digits/mixing/predictions.parquet")
    tested = predictions.query("snapshot == 'best_validation'").merge(manifest.query("split == 'test'"), on="id")
    right = (tested["prediction_1"] == tested["category"]).groupby(tested["id"]).any()
    assert sorted(told["missed"]) == right.index[~right].tolist() and 0 < (~right).sum() < len(right)
    assert f"No network recognises {(~right).sum()} of {len(right)} test images." in printed(shown["missed"])
    assert "image/png" in shown["pictures"].outputs[-1].data

    metrics = pd.read_csv(data / "08_reporting/digits/mixing/metrics.csv")
    (drawn,) = [output.data for output in shown["figure"].outputs if FIGURE in output.data]
    ended = metrics.query("snapshot == 'last' and split == 'test'").sort_values("trial")
    for line, domain in zip(drawn[FIGURE]["data"], ("nice", "real"), strict=True):
        heights = np.frombuffer(base64.b64decode(line["y"]["bdata"]), line["y"]["dtype"])
        assert heights == pytest.approx(ended[f"{domain}_top1"].to_numpy())

    measured = metrics.query("snapshot == 'best_validation'").set_index(["split", "trial"])["performance_top1"]
    best = measured["validation"].idxmax()
    assert best == told["best"] and best in printed(shown["selected"])
    assert told["selected"] == pytest.approx(measured["test"].to_dict())
    said = tested[(tested["trial"] == best) & (tested["id"] == told["image"])].iloc[0]
    assert max(told["answer"].values()) == pytest.approx(said["probability_1"], abs=1e-4)
    assert told["answer"][said["prediction_1"]] == pytest.approx(said["probability_1"], abs=1e-4)


class Killer(TrainingListener):
    """Ends a run in the middle of training, as a crash would."""

    def evaluated(self, history):
        raise KeyError("the machine went down")


def test_a_failed_run_is_marked_as_failed_and_the_next_one_resumes(run_pipeline, project, few_digits):
    with pytest.raises(KeyError, match="the machine went down"):
        run_pipeline("mixing", BRIEF, few_digits, listener=Killer())
    parent, children = runs(project)
    assert parent["tags.failure"] == "KeyError: 'the machine went down'"
    assert parent["status"] == "FAILED" and set(children["status"]) == {"FAILED"}
    (checkpoint,) = project.glob("data/06_models/digits/mixing/checkpoints/*/last.ckpt")
    assert checkpoint.stat().st_size > 0
    run_pipeline("mixing", BRIEF, few_digits)
    client = mlflow.MlflowClient()
    parent, children = runs(project)
    assert parent["status"] == "FINISHED" and set(children["status"]) == {"FINISHED"}
    for run_id in children["run_id"]:
        assert [point.step for point in client.get_metric_history(run_id, "train/penalised_loss")] == [4, 8]


class Locking(TrainingListener):
    """Locks MLflow's database from the first evaluation on, as a backup or a database browser may.

    It waits for the runs of the three models, which another thread opens.
    """

    def __init__(self, project):
        self.database = sqlite3.connect(project / "mlflow.db", check_same_thread=False, timeout=60)
        self.evaluations = 0

    def evaluated(self, history):
        if not self.evaluations:
            self.wait_for_runs(3)
            self.database.execute("BEGIN EXCLUSIVE")
        self.evaluations += 1

    def wait_for_runs(self, expected):
        until = time.monotonic() + 60
        opened = "SELECT count(*) FROM tags WHERE key = 'mlflow.parentRunId'"
        while self.database.execute(opened).fetchone()[0] < expected:
            assert time.monotonic() < until, "the models' runs were not opened in MLflow"
            time.sleep(0.05)


def test_what_a_locked_database_could_not_take_is_sent_by_the_next_run(run_pipeline, project, few_digits, monkeypatch):
    monkeypatch.setattr("mixvision.tracking.sender.PATIENCE", 0.1)
    # MLflow waits 20 seconds for a lock.
    monkeypatch.setattr("sqlalchemy.sql.text", lambda text: sqlalchemy.text(text.replace("= 20000", "= 100")))
    locking = Locking(project)
    run_pipeline("mixing", BRIEF, few_digits, listener=locking)
    assert locking.evaluations == 2 and (project / "data/08_reporting/digits/mixing/page.html").exists()
    locking.database.rollback()
    parent, children = runs(project)
    assert {parent["status"], *children["status"]} == {"RUNNING"}
    assert len(list(project.glob("data/.mlflow-journal/digits/*"))) == 1

    run_pipeline("ingestion", BRIEF, few_digits)
    client = mlflow.MlflowClient()
    assert client.get_run(parent["run_id"]).info.status == "FINISHED"
    assert "mixing/page.html" in {file.path for file in client.list_artifacts(parent["run_id"], "mixing")}
    for child in children["run_id"]:
        run = client.get_run(child)
        assert run.info.status == "FINISHED" and "last/test/performance_top1" in run.data.metrics
        assert [point.step for point in client.get_metric_history(child, "train/penalised_loss")] == [4, 8]
    assert not list(project.glob("data/.mlflow-journal/digits/*"))


def test_a_diverging_model_is_a_failed_run_among_finished_ones(finished, run_pipeline, few_digits):
    """One trial's learning rate is raised in the table of trials, and the run continues from there."""
    file = finished / "data/05_model_input/digits/mixing/trials.csv"
    trials = pd.read_csv(file)
    trials["learning_rate"] = trials["learning_rate"].where(trials["ratio"] != 0, 1e12)
    trials.to_csv(file, index=False)
    run_pipeline("mixing", BRIEF, few_digits, from_nodes=["mixing.train.train_models"])
    parent, children = runs(finished)
    assert parent["status"] == "FINISHED"
    assert children.set_index("params.ratio")["status"].to_dict() == {
        "0": "FAILED",
        "50": "FINISHED",
        "100": "FINISHED",
    }
    outcomes = pd.read_csv(finished / "data/07_model_output/digits/mixing/outcomes.csv").set_index("trial")
    reason = outcomes.loc["ratio-000-seed-0", "reason"]
    assert children["tags.failure"].dropna().tolist() == [reason] and "learning_rate" in reason
    page = read_page(finished)
    assert f"Missing: ratio-000-seed-0 (failed). {reason}" in page.text
    assert page.table("% real", "95% interval")["% real"].tolist() == ["50", "100"]


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"mixtures": {"ratios": [0, 200]}}, r"ratios is \[0, 200\]"),
        ({"training": {"iterations": -1}}, "iterations is -1"),
        ({"trainings": {"iterations": 1}}, "no parameter mixing.trainings: did you mean mixing.training"),
        ({"report": {"mistakes_shown": 0}}, "mistakes_shown is 0"),
    ],
)
def test_wrong_parameters_stop_the_run_before_anything_is_done(run_pipeline, project, parameters, complaint):
    with pytest.raises(Exception, match=complaint):
        run_pipeline("mixing", {"mixing": parameters})
    assert not list(project.glob("data/[!.]*"))


def test_more_seeds_give_a_mean_and_a_standard_deviation(run_pipeline, few_digits):
    settings = {"mixing": {**BRIEF["mixing"], "mixtures": {"ratios": [50], "seeds": [0, 1]}}}
    project = run_pipeline("mixing", settings, few_digits)
    table = pd.read_csv(project / "data/08_reporting/digits/mixing/metric_table.csv")
    metrics = pd.read_csv(project / "data/08_reporting/digits/mixing/metrics.csv")
    expected = metrics[metrics["split"] == "test"].groupby("snapshot")["performance_top1"].std()
    assert (table["trials"] == 2).all() and expected.max() > 0
    assert table.set_index("snapshot")["performance_top1_std"].to_dict() == pytest.approx(expected.to_dict())
    assert np.isfinite(table["performance_top1_low"].dropna()).all()
    means = metrics[metrics["split"] == "test"].groupby("snapshot")["performance_top1"].mean()
    (row,) = read_page(project).table("% real", "95% interval").to_dict("records")
    for snapshot in SNAPSHOTS:
        assert row[plain_name(snapshot)] == f"{means[snapshot]:.3f} ± {expected[snapshot]:.3f}"


def test_a_plain_split_is_reported_with_and_without_leaking_images(run_pipeline, few_digits):
    """As in the paper: near-duplicates may cross, the run continues, and the report shows both accuracies."""
    project = run_pipeline("mixing", {**BRIEF, "ingestion": {"splits": {"method": "plain"}}}, few_digits)
    manifest = pd.read_parquet(project / "data/03_primary/digits/manifest.parquet")
    leaking = int((manifest["leaks"] & (manifest["split"] == "test")).sum())
    assert leaking > 0
    metrics = pd.read_csv(project / "data/08_reporting/digits/mixing/metrics.csv")
    tested = metrics[metrics["split"] == "test"].iloc[0]
    held_out = manifest[manifest["split"] == "test"]
    assert tested["nice_images"] + tested["real_images"] == len(held_out)
    page = read_page(project)
    audit = page.table("domain", "a single object", "leaks").astype({"leaks": int}).groupby("domain")["leaks"].sum()
    assert audit.to_dict() == manifest[manifest["leaks"]].groupby("domain").size().to_dict()
    predictions = pd.read_parquet(project / "data/07_model_output/digits/mixing/predictions.parquet")
    clean = predictions[predictions["snapshot"] == "best_validation"].merge(held_out[~held_out["leaks"]], on="id")
    right = (clean["prediction_1"] == clean["category"]).groupby([clean["trial"], clean["domain"]]).mean().unstack()
    performance = np.sqrt(right["nice"] * right["real"])
    rows = page.table("% real", "chosen on validation, without leaks")
    assert rows["chosen on validation, without leaks"].tolist() == [f"{value:.3f}" for value in performance]
    assert rows["chosen on validation"].tolist() != rows["chosen on validation, without leaks"].tolist()
