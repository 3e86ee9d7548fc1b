"""Mixed training under grouped and plain splits, end to end in one run."""

from __future__ import annotations

import mlflow
import pandas as pd
import pytest
from page_reader import Reader
from PIL import Image

from mixvision.vocabulary import DOMAINS

pytestmark = pytest.mark.slow

BRIEF = {
    "mixing": {
        "mixtures": {"ratios": [50]},
        "training": {"iterations": 2, "evaluate_every": 2, "checkpoint_every": 2, "accelerator": "cpu"},
    }
}


@pytest.fixture
def series(tmp_path, small_pixels) -> dict:
    """Global settings of a small study: 20 images of each of three digits, the nice ones in series of four frames."""
    folder = tmp_path / "images"
    for domain, pixels in small_pixels.items():
        for digit in range(3):
            own = folder / domain / str(digit)
            own.mkdir(parents=True)
            for place in range(20):
                Image.fromarray(pixels[40 * digit + place]).save(own / f"object{place // 4}_{place % 4}_100.png")
    sources = {domain: {"source": str(folder / domain)} for domain in DOMAINS}
    sources["nice"]["group"] = "fruits-360 series"
    return {"image_size": 16, **sources}


def test_both_splits_are_trained_and_compared(run_pipeline, series):
    project = run_pipeline("leakage", BRIEF, series)
    data = project / "data"
    manifest, plain = (
        pd.read_parquet(data / f"03_primary/digits/{name}.parquet") for name in ("manifest", "plain_manifest")
    )
    seen = set(plain.loc[(plain["domain"] == "nice") & (plain["split"] == "train"), "group"])
    tested = plain[(plain["domain"] == "nice") & (plain["split"] == "test")]
    leaking = tested["group"].isin(seen).mean()
    assert leaking > 0.5 and not manifest["leaks"].any()

    table = pd.read_csv(data / "08_reporting/digits/leakage/comparison.csv").set_index(["ratio", "domain"])
    assert list(table.index) == [(50, domain) for domain in DOMAINS]
    assert table.loc[(50, "nice"), "plain_leaks"] >= leaking
    for side, pipeline, prefix, splits in (("used", "mixing", "", manifest), ("plain", "leakage", "plain-", plain)):
        predictions = pd.read_parquet(data / f"07_model_output/digits/{pipeline}/predictions.parquet")
        best = predictions[predictions["snapshot"] == "best_validation"].merge(
            splits[splits["split"] == "test"], on="id"
        )
        right = (best["prediction_1"] == best["category"]).groupby([best["trial"], best["domain"]]).mean()
        for domain in DOMAINS:
            assert table.loc[(50, domain), f"{side}_top1"] == right[f"{prefix}ratio-050-seed-0", domain]
        sets = pd.read_parquet(data / f"05_model_input/digits/{pipeline}/training_sets.parquet")
        assert set(splits.set_index("id").loc[sets["id"], "split"]) == {"train"}

    page = Reader((data / "08_reporting/digits/leakage/page.html").read_text())
    assert page.title.startswith("Handwritten digits") and len(page.figures) == 1
    shown = page.table("% real", "domain", "plain split")
    assert shown["plain split"].tolist() == [f"{accuracy:.3f}" for accuracy in table["plain_top1"]]
    assert shown["grouped split"].tolist() == [f"{accuracy:.3f}" for accuracy in table["used_top1"]]

    mlflow.set_tracking_uri(f"sqlite:///{project}/mlflow.db")
    runs = mlflow.search_runs(experiment_names=["digits"]).dropna(subset="tags.mlflow.parentRunId")
    assert set(runs["tags.mlflow.runName"]) == {"ratio-050-seed-0", "plain-ratio-050-seed-0"}
    assert set(runs["status"]) == {"FINISHED"}
    metrics = pd.read_csv(data / "08_reporting/digits/leakage/metrics.csv").query(
        "split == 'test' and snapshot == 'last'"
    )
    logged = runs.set_index("tags.mlflow.runName")["metrics.last/test/nice_top1"]
    for row in metrics.itertuples():
        assert logged[row.trial] == pytest.approx(row.nice_top1)
    assert not list((data / "06_models/digits").glob("*/checkpoints"))


def test_a_plain_study_is_refused_before_any_image_is_read(run_pipeline, project, series):
    with pytest.raises(Exception, match="ingestion.splits.method is plain already"):
        run_pipeline("leakage", {**BRIEF, "ingestion": {"splits": {"method": "plain"}}}, series)
    assert not list(project.glob("data/[!.]*"))
