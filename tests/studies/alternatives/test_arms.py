"""Which arms there are, and that their images are those that their names promise."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mixvision.studies.alternatives.arms import Alternatives, batch_size, choose_images, count_images, list_arms
from mixvision.training.mixtures import choose_training_sets

SEEDS = (0, 3)


@pytest.fixture(scope="module")
def manifest() -> pd.DataFrame:
    """40 nice and 20 real training images in each of two categories, and a held-out one of each domain."""
    rows = []
    for domain, count in (("nice", 40), ("real", 20)):
        for category in "ab":
            rows += [(f"{domain}/{category}/{n:02d}", domain, category, "kept", "train") for n in range(count)]
            rows.append((f"{domain}/{category}/held", domain, category, "kept", "test"))
    rows.append(("real/a/torn", "real", "a", "excluded", ""))
    return pd.DataFrame(rows, columns=["id", "domain", "category", "status", "split"])


@pytest.fixture(scope="module")
def trials() -> pd.DataFrame:
    return list_arms(Alternatives(), SEEDS, 200)


@pytest.fixture(scope="module")
def sets(manifest, trials) -> pd.DataFrame:
    return choose_images(manifest, trials)


def ids(sets: pd.DataFrame, trial: str, phase: str = "only", domain: str = "") -> set[str]:
    chosen = sets[(sets["trial"] == trial) & (sets["phase"] == phase)]
    return {image for image in chosen["id"] if image.startswith(domain)}


def test_every_arm_has_a_model_of_every_seed_and_equally_many_steps(trials):
    assert trials["trial"].is_unique and len(trials) == 22 * 2
    assert (trials.groupby("arm")["seed"].agg(list).map(tuple) == SEEDS).all()
    assert (trials["begin"] + trials["iterations"] == 200).all()
    assert set(trials.loc[trials["begin"] > 0, "approach"]) == {"nice, then real"}
    assert trials.set_index("trial").loc["group-dro-0.1-seed-3", ["strength", "balanced"]].tolist() == [0.1, True]


def test_an_empty_list_leaves_a_method_out():
    brief = Alternatives(
        ratios=(50,), added=(), group_dro=(), coral=(), replay=(), elastic_weights=(), earlier_answers=()
    )
    assert list(list_arms(brief, (0,), 10)["trial"].str.removesuffix("-seed-0")) == [
        "mix-050", "balanced", "weights", "statistics", "then-real", "then-real-head",
    ]  # fmt: skip


def test_mixes_are_those_of_mixed_training(manifest, sets):
    mixed = choose_training_sets(manifest, pd.DataFrame({"trial": ["m"], "ratio": [25], "seed": [3]}), balance=True)
    assert ids(sets, "mix-025-seed-3") == set(mixed["id"])


def test_all_other_arms_have_every_nice_image_and_a_share_of_the_real_ones(sets):
    for trial, real in (("nice-and-010", 4), ("nice-and-025", 10), ("nice-and-050", 20), ("nice-and-100", 40)):
        assert len(ids(sets, f"{trial}-seed-0", domain="nice")) == 80
        chosen = ids(sets, f"{trial}-seed-0", domain="real")
        assert len(chosen) == real
        assert sum(image.startswith("real/a") for image in chosen) == real / 2
    assert ids(sets, "nice-and-010-seed-0") < ids(sets, "nice-and-025-seed-0")
    assert ids(sets, "nice-and-025-seed-0") != ids(sets, "nice-and-025-seed-3")
    for trial in ("balanced", "weights", "statistics", "group-dro-0.1", "coral-1"):
        assert ids(sets, f"{trial}-seed-0") == ids(sets, "nice-and-100-seed-0")


def test_a_replay_adds_nice_images_to_the_second_training(sets):
    for trial, replayed in (("then-real", 0), ("replay-20", 10), ("replay-50", 40), ("ewc-100", 0)):
        assert len(ids(sets, f"{trial}-seed-0", "first")) == len(ids(sets, f"{trial}-seed-0", "first", "nice")) == 80
        assert len(ids(sets, f"{trial}-seed-0", "second", "real")) == 40
        assert len(ids(sets, f"{trial}-seed-0", "second", "nice")) == replayed


def test_counts_are_of_different_images(sets, trials, manifest):
    counts = count_images(sets, trials, manifest).set_index("arm")
    assert counts.loc["mix, 25% real"].tolist() == [30, 10] and counts.loc["mix, 0% real"].tolist() == [40, 0]
    assert counts.loc["all nice + 25% of real"].tolist() == [80, 10]
    assert counts.loc["fine-tuned, 50% replayed"].tolist() == [80, 40]


def test_batches_are_a_twentieth_of_a_mix_and_even(manifest):
    assert batch_size(manifest) == 4  # of 40 images a twentieth is 2
    more = pd.concat([manifest, manifest.assign(id=manifest["id"] + "x", category="c")])
    assert batch_size(more) == 4  # of 80
    assert batch_size(pd.concat([more, manifest.assign(id=manifest["id"] + "y", category="d")])) == 6  # of 120


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"added": (0, 10)}, r"added is \[0, 10\]; give numbers above 0"),
        ({"added": (50, 110)}, r"added is \[50, 110\]; each is a share up to 100 per cent"),
        ({"replay": (100,)}, r"replay is \[100\]; each is a share up to 99 per cent"),
        ({"coral": (1.0, 1.0)}, r"coral is \[1.0, 1.0\]; list each value only once"),
        ({"share": 100}, "share is 100; give a whole number of per cent from 1 to 99"),
        ({"ratios": ()}, r"ratios is \(\); give a list of one or more whole numbers"),
        ({"group_dro": ("much",)}, "group_dro is"),
    ],
)
def test_bad_settings_are_refused_in_a_sentence(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        Alternatives(**changes)


def test_too_few_iterations_for_both_trainings_are_refused():
    with pytest.raises(ValueError, match="iterations is 1: too few for a share of 50 per cent"):
        list_arms(Alternatives(), (0,), 1)


def test_images_of_one_domain_are_refused(manifest, trials):
    with pytest.raises(ValueError, match="needs images of both domains"):
        choose_images(manifest[manifest["domain"] == "nice"], trials)


def test_seeds_order_the_replayed_images_differently(sets):
    assert ids(sets, "replay-20-seed-0", "second", "nice") != ids(sets, "replay-20-seed-3", "second", "nice")
    assert np.all([len(ids(sets, f"replay-05-seed-{seed}", "second", "nice")) == 2 for seed in SEEDS])
