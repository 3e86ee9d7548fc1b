"""Mixed training, iterative training and what follows from both, end to end in one run."""

from __future__ import annotations

import mlflow
import pandas as pd
import pytest

from mixvision.models.trained import TrainedNetwork

TRAINING = {"iterations": 8, "evaluate_every": 4, "checkpoint_every": 4, "accelerator": "cpu"}
REPORT = {"bootstrap_draws": 50}
BRIEF = {
    "mixing": {"mixtures": {"ratios": [0, 50, 100]}, "training": TRAINING, "report": REPORT},
    "iterative": {"phases": {"shares": [25, 75], "evaluate_every": 2}, "training": TRAINING, "report": REPORT},
    "conclusions": {"report": REPORT},
}
SMALL = {"image_size": 16}


@pytest.fixture
def reports(run_pipeline):
    return run_pipeline("conclusions", BRIEF, SMALL) / "data/08_reporting/digits"


def test_the_study_leaves_everything_that_it_promises(reports, project):
    trials = ["initial-025-seed-0", "initial-075-seed-0"]
    metrics = pd.read_csv(reports / "iterative/metrics.csv")
    assert set(metrics["trial"]) == set(trials)
    assert set(metrics["weights"]) == {"after_initial", "last", "best_validation", "best_test"}
    history = pd.read_parquet(project / "data/07_model_output/digits/iterative/history.parquet")
    steps = history[history["split"] == "test"].groupby("trial")["iteration"].apply(list).to_dict()
    assert steps == {trials[0]: [2, 4, 6, 8], trials[1]: [2, 4, 6, 8]}
    measures = pd.read_csv(reports / "iterative/continual_measures.csv")
    tested = metrics[metrics["split"] == "test"].set_index(["trial", "weights"])["nice_top1"]
    for share, trial in zip((25, 75), trials, strict=True):
        forgetting = measures.set_index("share").loc[share, "forgetting"]
        assert forgetting == pytest.approx(tested[trial, "after_initial"] - tested[trial, "last"])
    alphas = pd.read_csv(reports / "iterative/interpolation_table.csv")
    assert len(alphas["alpha"].unique()) == 11

    networks = project / "data/06_models/digits/iterative/networks"
    last, initial = (
        TrainedNetwork.load(networks / trials[0] / f"{name}.safetensors") for name in ("last", "after_initial")
    )
    assert last.tensors["features.0.weight"].equal(initial.tensors["features.0.weight"])
    assert not last.tensors["head.0.weight"].equal(initial.tensors["head.0.weight"])

    verdicts = pd.read_csv(reports / "conclusions/hypotheses.csv")
    assert len(verdicts) == 4 and verdicts["verdict"].isin(["supported", "refuted", "undecided"]).all()
    law = pd.read_csv(reports / "conclusions/mixing_law.csv")
    assert law["predicted_best"].between(0, 100).all()
    for pipeline in ("mixing", "iterative", "conclusions"):
        assert "Handwritten digits" in (reports / pipeline / "page.html").read_text()
    assert not list(project.glob("data/06_models/digits/*/checkpoints"))

    mlflow.set_tracking_uri(f"sqlite:///{project}/mlflow.db")
    runs = mlflow.search_runs(experiment_names=["digits"])
    children = runs[runs["tags.mlflow.parentRunId"].notna()]
    assert set(children["status"]) == {"FINISHED"} and len(children) == 3 + 1 + 2
    client = mlflow.MlflowClient()
    (child,) = children.loc[children["tags.mlflow.runName"] == trials[1], "run_id"]
    assert [point.step for point in client.get_metric_history(child, "nice_top1")] == [2, 4, 6, 8]
    assert client.get_run(child).data.params["share"] == "75"


def test_wrong_phases_stop_the_run_before_anything_is_done(run_pipeline, project):
    with pytest.raises(Exception, match="replay is 100"):
        run_pipeline("iterative", {"iterative": {"phases": {"replay": 100}}})
    assert not (project / "data").exists()
