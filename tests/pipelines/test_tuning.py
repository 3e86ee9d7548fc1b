"""Tuning end to end, as ``kedro run`` runs it, both whole and killed in the middle of the adaptive search."""

from __future__ import annotations

import mlflow
import pandas as pd
import pytest
import yaml
from page_reader import Reader, read_markdown

from mixvision.training.events import TrainingListener

pytestmark = pytest.mark.slow

BRIEF = {
    "tuning": {
        "grid": {
            "ratios": [20, 80],
            "learning_rates": [0.02, 0.05],
            "first_l2": 0.05,
            "l2_factors": [0.02],
            "iterations": 4,
            "final_l2_factors": [0.05],
            "final_iterations": 8,
        },
        "search": {"startup_trials": 1, "warmup_iterations": 0},
        "training": {"evaluate_every": 4, "checkpoint_every": 2, "accelerator": "cpu"},
    }
}


def runs(project) -> tuple[pd.Series, pd.DataFrame]:
    """The newest Kedro run and its child runs in MLflow."""
    mlflow.set_tracking_uri(f"sqlite:///{project}/mlflow.db")
    found = mlflow.search_runs(experiment_names=["digits"], order_by=["attributes.start_time DESC"])
    parent = found[found["tags.mlflow.parentRunId"].isna()].iloc[0]
    return parent, found[found["tags.mlflow.parentRunId"] == parent["run_id"]].set_index("tags.mlflow.runName")


def read_scores(project) -> pd.DataFrame:
    """The scores of all trials."""
    report = project / "data/08_reporting/digits/tuning"
    return pd.concat([pd.read_csv(report / f"{search}_scores.csv") for search in ("grid", "adaptive")])


def check_results(project) -> pd.DataFrame:
    """Check the results of a finished run; return the scores of all trials."""
    report = project / "data/08_reporting/digits/tuning"
    grid, adaptive = (pd.read_csv(report / f"{search}_scores.csv") for search in ("grid", "adaptive"))
    assert grid["step"].value_counts().to_dict() == {"rates": 4, "factors": 4, "final": 2}
    assert grid["trained_iterations"].sum() == 48 >= adaptive["trained_iterations"].sum() > 48 - 16
    final = grid[grid["step"] == "final"]
    chosen = yaml.safe_load((report / "chosen.yml").read_text())
    assert chosen["performance_top1"] == pytest.approx(final["performance_top1"].mean())
    assert {chosen["learning_rate"]} == set(final["learning_rate"]) and chosen["l2"] == 0.05
    for search in ("grid", "adaptive"):
        history = pd.read_parquet(project / f"data/07_model_output/digits/tuning/{search}_history.parquet")
        assert set(history["split"]) == {"validation"}  # the test images stay unseen
    rates = grid[grid["step"] == "rates"].groupby("learning_rate")["performance_top1"].mean().sort_values()[::-1]
    shown = read_markdown((report / "summary.md").read_text())
    assert shown["learning rate"].astype(float).tolist() == rates.index.tolist()
    assert shown["mean"].tolist() == [f"{mean:.3f}" for mean in rates]
    page = Reader((report / "page.html").read_text())
    assert page.key_numbers[:3] == [f"{chosen['learning_rate']:g}", "0.05", f"{chosen['performance_top1']:.3f}"]
    searches = page.table("search", "trials", "mean of the best").set_index("search")
    for search, trials in (("grid", grid), ("adaptive", adaptive)):
        best = trials.groupby("ratio")["performance_top1"].max().mean()
        pruned = (trials["status"] == "pruned").sum()
        row = [len(trials), pruned, 0, trials["trained_iterations"].sum(), f"{best:.3f}"]
        assert searches.loc[search].tolist() == list(map(str, row))
    assert len(list(report.glob("*.json"))) == 6
    assert (project / "data/06_models/digits/tuning/studies/studies.db").exists()
    assert not (project / "data/06_models/digits/tuning/checkpoints").exists()

    scores = read_scores(project).set_index("trial")
    parent, children = runs(project)
    assert parent["status"] == "FINISHED" and set(children.index) == set(scores.index)
    children = children.loc[scores.index]
    assert (children["params.iterations"].astype(int) == scores["iterations"]).all()
    assert (children["params.learning_rate"].astype(float).sub(scores["learning_rate"]).abs() < 1e-12).all()
    final = children["metrics.selected/validation/performance_top1"]
    pd.testing.assert_series_equal(final, scores["performance_top1"], check_names=False)
    ended = {"finished": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
    assert (children["status"] == scores["status"].map(ended)).all()
    return read_scores(project)


class Killer(TrainingListener):
    """Ends a run in the second round of the adaptive search, as a crash would; Kedro runs it before the grid."""

    def evaluated(self, history):
        if history[0]["trial"].startswith("adaptive-020-001"):
            raise KeyError("the machine went down")


MIXING = {
    "mixtures": {"ratios": [0, 50], "learning_rate": 0.001, "l2": 0.9},
    "training": {"iterations": 4, "evaluate_every": 4, "checkpoint_every": 4, "accelerator": "cpu"},
}


@pytest.fixture(scope="module")
def tuned_mixing(run_apart, few_digits):
    return run_apart("tuned_mixing", {**BRIEF, "mixing": MIXING}, few_digits)


def test_tuning_killed_in_the_adaptive_search_resumes_to_the_same_result(
    run_pipeline, project, few_digits, tuned_mixing
):
    with pytest.raises(KeyError, match="the machine went down"):
        run_pipeline("tuning", BRIEF, few_digits, listener=Killer())
    assert runs(project)[0]["status"] == "FAILED"
    run_pipeline("tuning", BRIEF, few_digits)
    pd.testing.assert_frame_equal(check_results(project), read_scores(tuned_mixing))


def test_mixed_training_uses_the_setting_that_tuning_chose(tuned_mixing):
    project = tuned_mixing
    chosen = yaml.safe_load((project / "data/08_reporting/digits/tuning/chosen.yml").read_text())
    trials = pd.read_csv(project / "data/05_model_input/digits/mixing/trials.csv")
    assert trials["trial"].tolist() == ["ratio-000-seed-0", "ratio-050-seed-0"]
    assert set(trials["learning_rate"]) == {chosen["learning_rate"]} and chosen["learning_rate"] in (0.02, 0.05)
    assert set(trials["l2"]) == {chosen["l2"]} == {0.05}
    outcomes = pd.read_csv(project / "data/07_model_output/digits/mixing/outcomes.csv")
    assert outcomes["status"].tolist() == ["finished"] * 2
    page = Reader((project / "data/08_reporting/digits/mixing/page.html").read_text())
    shared = page.table("setting", "value").set_index("setting")["value"]
    assert shared[["learning rate", "L2"]].tolist() == [f"{chosen['learning_rate']:g}", "0.05"]
    assert shared["tuned by"] == chosen["source"]
    assert f"were tuned by {chosen['source']}." in page.text
    assert runs(project)[1].loc["ratio-050-seed-0", "params.l2"] == "0.05"


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"grid": {"learning_rates": [0]}}, r"learning_rates is \[0\]"),
        ({"search": {"proposals": 0}}, "proposals is 0"),
        ({"training": {"evaluate_every": 0}}, "evaluate_every is 0"),
    ],
)
def test_wrong_parameters_stop_the_run_before_anything_is_done(run_pipeline, project, parameters, complaint):
    with pytest.raises(Exception, match=complaint):
        run_pipeline("tuning", {"tuning": parameters})
    assert not list(project.glob("data/[!.]*"))
