"""All arms train with the one engine, and what one of them cannot do costs no other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_network import SmallNetwork

from mixvision.evaluation.metrics import join_predictions
from mixvision.studies.alternatives.arms import Alternatives, batch_size, choose_images, list_arms
from mixvision.studies.alternatives.tables import arms_table, forgetting_table, judge_claim
from mixvision.studies.alternatives.training import train_arms
from mixvision.training.config import Training
from mixvision.training.pool import pool_images
from mixvision.training.results import NoResultError

pytestmark = pytest.mark.slow

BRIEF = Training(iterations=8, evaluate_every=2, accelerator="cpu")
FEW = Alternatives(ratios=(50,), added=(100,), replay=(50,), learning_rate=0.02, l2=0.1)


@pytest.fixture
def train(small_manifest, small_pixels, tmp_path):
    manifest = small_manifest.assign(leaks=False, component=np.arange(len(small_manifest)))

    def run(seeds=(0, 1), **changes):
        trials = list_arms(FEW, seeds, BRIEF.iterations)
        trials = trials.assign(**changes)
        sets = choose_images(manifest, trials)
        pool = pool_images(manifest, small_pixels, sets["id"])
        equal = trials.assign(batch_size=batch_size(manifest))
        result = train_arms(SmallNetwork, equal, sets, pool, BRIEF, tmp_path)
        return trials, result, join_predictions(result.predictions, manifest)

    return run


def test_every_arm_has_a_result_and_its_own_numbers(train):
    trials, result, joined = train()
    assert (result.outcomes["status"] == "finished").all()
    assert set(joined["trial"]) - {f"nice-first-seed-{seed}" for seed in (0, 1)} == set(trials["trial"])
    assert {f"statistics-seed-0-{domain}" for domain in ("nice", "real")} <= set(result.weights)
    weights = {trial: snapshots["last"] for trial, snapshots in result.weights.items() if trial.endswith("seed-0")}
    heads = {trial: tensors["head.0.weight"].flatten() for trial, tensors in weights.items()}
    same = {(a, b) for a in heads for b in heads if a < b and torch.equal(heads[a], heads[b])}
    assert not same  # no method is the same as another under a different name
    nice, real = (result.weights[f"statistics-seed-0-{domain}"]["last"] for domain in ("nice", "real"))
    assert torch.equal(nice["head.0.weight"], real["head.0.weight"])
    assert not torch.equal(nice["head.0.normalise.mean"], real["head.0.normalise.mean"])
    steps = result.history.groupby("trial")["iteration"].agg(lambda column: sorted(set(column)))
    assert steps["then-real-seed-0"] == steps["mix-050-seed-0"] == [2, 4, 6, 8]
    counts = trials[["arm"]].drop_duplicates().assign(nice_images=1, real_images=1)
    table = arms_table(joined, trials, counts)
    assert list(table["arm"]) == list(trials["arm"].unique()) and (table["trials"] == 2).all()
    forgetting = forgetting_table(joined, trials)
    assert forgetting["nice_before"].nunique() == 1  # all continue the same training
    assert judge_claim(joined, trials, 0.02).verdict.verdict == "not enough seeds"


def test_the_arms_of_one_training_go_on_where_the_others_fail(train):
    trials = list_arms(FEW, (0,), 8)
    rates = np.where(trials["approach"] == "nice, then real", 1e12, 0.02)
    trials, result, joined = train(seeds=(0,), learning_rate=rates)
    ended = result.outcomes.set_index("trial")
    assert ended.loc["then-real-seed-0", ["status", "iterations"]].tolist() == ["failed", 0]
    assert ended.loc["then-real-seed-0", "reason"].startswith(
        "The training on nice images that this model continues has"
    )
    assert set(joined["trial"]) == set(trials.loc[trials["approach"] != "nice, then real", "trial"])


def test_without_any_result_the_reason_is_given(train):
    with pytest.raises(NoResultError, match="No trial finished.*learning_rate"):
        train(seeds=(0,), learning_rate=1e12)
