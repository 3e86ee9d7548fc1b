"""The same images under two splits: whole series of pictures on one side, and a plain one that divides them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mixvision.evaluation.metrics import join_predictions
from mixvision.studies.leakage.comparison import SplitResults

PLAIN = ("train", "train", "validation", "test", "test")
SERIES = ("train", "train", "validation", "test", "test", "test", "test", "test")  # whole ones
TRIALS = [(ratio, seed) for ratio in (0, 50, 100) for seed in (0, 1)]


def make_manifests() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Nice images in series of six, real ones by themselves.

    The nice Kiwi is a single series, so that only the plain split tests it; the real Plum it does not test.
    """
    rows = []
    for category in ("Apple", "Banana"):
        rows += [
            ("nice", category, f"{series}-{frame}", series, SERIES[series]) for series in range(8) for frame in range(6)
        ]
        rows += [("real", category, f"{place}", None, PLAIN[place % 5]) for place in range(20)]
    rows += [("nice", "Kiwi", f"0-{frame}", 0, "train") for frame in range(6)]
    rows += [("real", "Plum", f"{place}", None, ("train", "test")[place % 2]) for place in range(6)]
    table = pd.DataFrame(rows, columns=["domain", "category", "name", "series", "used"])
    table["id"] = table["domain"] + "/" + table["category"] + "/" + table["name"]
    own = table["series"].astype(str).where(table["series"].notna(), table["name"])
    table["component"] = pd.factorize(table["domain"] + table["category"] + own)[0]
    table["plain"] = [PLAIN[place] for place in table.groupby(["domain", "category"]).cumcount() * 2 % 5]
    table.loc[table["category"] == "Plum", "plain"] = "train"
    facts = table[["id", "domain", "category", "component"]].assign(status="kept", pixel_row=table.index)
    return tuple(with_split(facts, table[name]) for name in ("used", "plain"))


def with_split(facts: pd.DataFrame, split: pd.Series) -> pd.DataFrame:
    """An image leaks if another of its component was seen before."""
    seen = [set(facts.loc[split == name, "component"]) for name in ("train", "validation")]
    leaks = [
        (name != "train" and component in seen[0]) or (name == "test" and component in seen[1])
        for name, component in zip(split, facts["component"], strict=True)
    ]
    return facts.assign(split=split, leaks=leaks)


def make_results(manifest: pd.DataFrame, prefix: str, chances: dict[str, float], best: int) -> SplitResults:
    """Whole components are right or wrong, with these chances by domain; validation images prefer the best ratio."""
    generator = np.random.default_rng(5)
    trials = pd.DataFrame([(f"{prefix}{ratio}-{seed}", ratio, seed) for ratio, seed in TRIALS])
    trials.columns = ["trial", "ratio", "seed"]
    held_out = manifest[manifest["split"] != "train"]
    parts = []
    for trial in trials.itertuples():
        for snapshot in ("best_validation", "last"):
            chance = held_out["domain"].map(chances) * (0.5 if snapshot == "last" else 1)
            lucky = pd.Series(generator.random(manifest["component"].max() + 1))
            right = held_out["component"].map(lucky) < chance
            validated = held_out["split"] == "validation"
            right = right.where(~validated, trial.ratio == best)
            said = held_out["category"].where(right, "none")
            parts.append(
                pd.DataFrame({"trial": trial.trial, "snapshot": snapshot, "id": held_out["id"], "prediction_1": said})
            )
    predictions = pd.concat(parts).assign(prediction_2="x", prediction_3="y")
    return SplitResults(manifest, trials, join_predictions(predictions, manifest))


@pytest.fixture(scope="session")
def used() -> SplitResults:
    return make_results(make_manifests()[0], "", {"nice": 0.5, "real": 0.6}, best=50)


@pytest.fixture(scope="session")
def plain() -> SplitResults:
    return make_results(make_manifests()[1], "plain-", {"nice": 0.99, "real": 0.6}, best=100)
