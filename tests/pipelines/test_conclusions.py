"""Mixed training, iterative training and the conclusions from both, end to end in one run."""

from __future__ import annotations

import mlflow
import numpy as np
import pandas as pd
import pytest
from page_reader import Reader, read_markdown

from mixvision.models.trained import TrainedNetwork
from mixvision.pipelines.conclusions.nodes import fit_mixing_law
from mixvision.reporting.names import plain_name
from mixvision.studies.conclusions.mixing_law import Proxies
from mixvision.vocabulary import AFTER_INITIAL, BEST_IN, SNAPSHOTS

pytestmark = pytest.mark.slow

TRAINING = {"iterations": 8, "evaluate_every": 4, "checkpoint_every": 4, "accelerator": "cpu"}
BRIEF = {
    "mixing": {"mixtures": {"ratios": [0, 50, 100]}, "training": TRAINING},
    "iterative": {
        "phases": {"shares": [25, 75], "evaluate_restricted_every": 2},
        "training": TRAINING,
    },
    "conclusions": {"claims": {"seeds": [0, 1, 2]}},
}


@pytest.fixture
def reports(run_pipeline, few_digits):
    return run_pipeline("conclusions", BRIEF, few_digits) / "data/08_reporting/digits"


def test_the_study_saves_all_its_results(reports, project):
    trials = ["initial-025-seed-0", "initial-075-seed-0"]
    metrics = pd.read_csv(reports / "iterative/metrics.csv")
    assert set(metrics["trial"]) == {f"{trial[:-1]}{seed}" for trial in trials for seed in range(3)}
    assert set(metrics["snapshot"]) == {AFTER_INITIAL, *SNAPSHOTS, *BEST_IN.values()}
    history = pd.read_parquet(project / "data/07_model_output/digits/iterative/history.parquet")
    steps = history[history["split"] == "test"].groupby("trial")["iteration"].apply(list).to_dict()
    assert {trial: steps[trial] for trial in trials} == {
        trials[0]: [2, 4, 6, 8],
        trials[1]: [4, 6, 8],
    }  # nothing from what was kept for the other
    measures = pd.read_csv(reports / "iterative/continual_measures.csv").set_index("share")
    tested = metrics[metrics["split"] == "test"].set_index(["trial", "snapshot"])["nice_top1"]
    page = Reader((reports / "iterative/page.html").read_text())
    assert page.title == "Handwritten digits: iterative"
    tables = [
        page.table("% initial", beside).set_index("% initial") for beside in ("95% interval", "backward transfer")
    ]
    for share, trial in zip((25, 75), trials, strict=True):
        of_seeds = [f"{trial[:-1]}{seed}" for seed in range(3)]
        forgetting = [tested[one, "after_initial"] - tested[one, "last"] for one in of_seeds]
        assert measures.loc[share, "forgetting"] == pytest.approx(np.mean(forgetting))
        expected = f"{np.mean(forgetting):.3f} ± {np.std(forgetting, ddof=1):.3f}"
        assert [shown.loc[str(share), "forgetting"] for shown in tables] == [expected] * 2
    alphas = pd.read_csv(reports / "iterative/interpolation_table.csv")
    assert len(alphas["alpha"].unique()) == 11

    networks = project / "data/06_models/digits/iterative/networks"
    last, initial = (
        TrainedNetwork.load(networks / trials[0] / f"{name}.safetensors") for name in ("last", "after_initial")
    )
    assert last.tensors["features.0.weight"].equal(initial.tensors["features.0.weight"])
    assert not last.tensors["head.0.weight"].equal(initial.tensors["head.0.weight"])

    verdicts = pd.read_csv(reports / "conclusions/hypotheses.csv")
    assert len(verdicts) == 4 and verdicts["verdict"].isin(["supported", "refuted", "tied", "undecided"]).all()
    assert (verdicts["seeds"] == 3).all()
    law = pd.read_csv(reports / "conclusions/mixing_law.csv")
    assert law["predicted_best"].between(0, 100).all()
    page = Reader((reports / "conclusions/page.html").read_text())
    assert page.title.startswith("Handwritten digits")
    summary = read_markdown((reports / "conclusions/summary.md").read_text())
    for shown in (page.table("hypothesis", "verdict"), summary):
        assert shown["verdict"].tolist() == verdicts["verdict"].tolist()
    laws = page.table("iteration", "predicted")["predicted"].tolist()
    assert laws == [f"{best:.0f}%" for best in law["predicted_best"]]
    performances = pd.concat([pd.read_csv(reports / name / "metrics.csv") for name in ("mixing", "iterative")])
    performances = performances[(performances["snapshot"] == "best_validation") & (performances["split"] == "test")]
    settings = performances["trial"].str.rpartition("-seed-")[0]
    means = performances.groupby(settings)["performance_top1"].mean()
    mixed = means.index.str.startswith("ratio")
    approaches = page.table("approach", "performance")["performance"].tolist()
    assert approaches == [f"{mean:.3f}" for mean in [*means[mixed], *means[~mixed]]]
    assert not list(project.glob("data/06_models/digits/*/checkpoints"))

    mlflow.set_tracking_uri(f"sqlite:///{project}/mlflow.db")
    runs = mlflow.search_runs(experiment_names=["digits"])
    children = runs[runs["tags.mlflow.parentRunId"].notna()]
    assert set(children["status"]) == {"FINISHED"} and len(children) == 3 * (3 + 2) + 3
    client = mlflow.MlflowClient()
    (child,) = children.loc[children["tags.mlflow.runName"] == trials[1], "run_id"]
    assert [point.step for point in client.get_metric_history(child, "test/nice_top1")] == [4, 6, 8]
    assert client.get_run(child).data.params["share"] == "75"


def test_the_other_ways_to_train_iteratively(run_pipeline, few_digits):
    """Real first, all layers trainable, replay, continued schedules, two seeds, a plain split, double precision."""
    settings = {
        "iterative": {
            "phases": {
                "first": "real",
                "shares": [50],
                "seeds": [0, 1],
                "trainable": "all",
                "replay": 25,
                "schedules": "continue",
                "evaluate_restricted_every": 2,
            },
            "training": {**TRAINING, "precision": "64-true"},
        },
        "ingestion": {"splits": {"method": "plain"}},
    }
    project = run_pipeline("iterative", settings, few_digits)
    sets = pd.read_parquet(project / "data/05_model_input/digits/iterative/training_sets.parquet")
    manifest = pd.read_parquet(project / "data/03_primary/digits/manifest.parquet").set_index("id")
    sets["domain"] = manifest.loc[sets["id"], "domain"].to_numpy()
    counts = sets.groupby(["trial", "phase", "domain"]).size()["initial-050-seed-1"]
    assert set(counts["initial"].index) == {"real"}
    assert counts["restricted", "real"] / counts["restricted"].sum() == pytest.approx(0.25, abs=0.01)
    reports = project / "data/08_reporting/digits/iterative"
    metrics = pd.read_csv(reports / "metrics.csv")
    assert set(metrics["trial"]) == {"initial-050-seed-0", "initial-050-seed-1"}
    page = Reader((reports / "page.html").read_text())
    shared = page.table("setting", "value").set_index("setting")["value"]
    chosen = {**settings["iterative"]["phases"], "precision": "64-true"}
    assert shared[["first", "trainable", "replay", "schedules", "precision"]].to_dict() == {
        name: str(chosen[name]) for name in ("first", "trainable", "replay", "schedules", "precision")
    }
    means = metrics[metrics["split"] == "test"].groupby("snapshot")["performance_top1"].agg(["mean", "std"])
    (row,) = page.table("% initial", "95% interval").to_dict("records")
    for snapshot in (AFTER_INITIAL, *SNAPSHOTS):
        assert row[plain_name(snapshot)] == "{:.3f} ± {:.3f}".format(*means.loc[snapshot])


def test_a_mixed_model_that_diverged_late_does_not_count_in_the_law():
    """It has a history, but no predictions, so the table of metrics lacks its ratio."""
    ratios = [0, 20, 50, 80, 100]
    trials = pd.DataFrame({"trial": [f"r{ratio}" for ratio in ratios], "ratio": ratios})
    curves = trials.assign(nice_top1=[0.9, 0.8, 0.7, 0.5, 0.2], real_top1=[0.1, 0.3, 0.5, 0.6, 0.65])
    curves["performance_top1"] = (curves["nice_top1"] * curves["real_top1"]) ** 0.5
    parts = [curves.assign(iteration=iteration, split="validation") for iteration in (100, 200)]
    history = pd.concat(parts).drop(columns="ratio")
    history = history[(history["trial"] != "r100") | (history["iteration"] < 200)]
    outcomes = trials[["trial"]].assign(status=["finished"] * 4 + ["failed"])
    table = curves[:-1].assign(snapshot="best_validation", validation_performance_top1=curves["performance_top1"])
    proxies = Proxies(ratio_sets=[[0, 50, 100], [0, 50, 80]], iteration_shares=[0.5, 1.0])
    law, fitted = fit_mixing_law(history, trials, outcomes, table, proxies)
    assert law["proxies"].tolist() == ["0, 50, 80"] * 2 and law["iteration"].tolist() == [100, 200]
    assert (law["cost"] == [3 / 4 / 2, 3 / 4]).all()
    assert not fitted.dropna(subset="observed_nice_top1")["ratio"].eq(100).any()


def test_wrong_phases_stop_the_run_before_anything_is_done(run_pipeline, project):
    with pytest.raises(Exception, match="replay is 60"):
        run_pipeline("iterative", {"iterative": {"phases": {"replay": 60}}})
    assert not list(project.glob("data/[!.]*"))
