import numpy as np
import pandas as pd
import pytest

from mixvision.training.mixtures import Mixtures, choose_training_sets, list_trials, require_both_domains


@pytest.fixture
def uneven_manifest() -> pd.DataFrame:
    """Category a: 50 nice, 20 real; category b: 10 nice, 30 real; and one test and one excluded image of each."""
    rows = []
    for category, domain, count in [
        ("a", "nice", 50),
        ("a", "real", 20),
        ("b", "nice", 10),
        ("b", "real", 30),
    ]:
        splits = ["train"] * count + ["test", ""]
        rows += [
            {"id": f"{domain}/{category}/{n:02d}", "domain": domain, "category": category, "split": split}
            for n, split in enumerate(splits)
        ]
    manifest = pd.DataFrame(rows)
    manifest["status"] = np.where(manifest["split"] == "", "excluded", "kept")
    return manifest


def choose(manifest: pd.DataFrame, mixtures: Mixtures) -> pd.DataFrame:
    trials = list_trials(mixtures)
    chosen = choose_training_sets(manifest, trials, mixtures.balance)
    return chosen.merge(manifest, on="id").merge(trials, on="trial")


def test_every_ratio_with_every_seed_is_a_trial():
    trials = list_trials(Mixtures(ratios=(0, 100), seeds=(3, 1), learning_rate=0.1, l2=0))
    assert list(trials) == ["trial", "ratio", "seed", "learning_rate", "l2"]
    assert trials["trial"].tolist() == [f"ratio-{ratio}-seed-{seed}" for seed in (3, 1) for ratio in ("000", "100")]
    assert trials.drop(columns="trial").to_numpy().tolist() == [
        [ratio, seed, 0.1, 0] for seed in (3, 1) for ratio in (0, 100)
    ]


@pytest.mark.parametrize("absent", ["nice", "real"])
def test_a_study_of_one_domain_cannot_be_mixed(uneven_manifest, absent):
    require_both_domains(uneven_manifest)
    sentence = rf"none of the domain '{absent}': set {absent}\.source .* baselines or transfer, which need only one"
    with pytest.raises(ValueError, match=sentence):
        choose(uneven_manifest[uneven_manifest["domain"] != absent], Mixtures())


def test_nor_can_one_whose_other_domain_is_an_independent_test_set(uneven_manifest):
    split = uneven_manifest["split"].mask(uneven_manifest["domain"] == "real", "test")
    sentence = "both domains to train on, but the study has none of the domain 'real'.* leave splits.test_only at null"
    with pytest.raises(ValueError, match=sentence):
        choose(uneven_manifest.assign(split=split), Mixtures())


def test_thinned_sets_are_equally_large_and_hold_the_ratio_of_each_category(uneven_manifest):
    chosen = choose(uneven_manifest, Mixtures())
    counts = chosen.groupby(["ratio", "category", "domain"]).size().unstack(fill_value=0)
    for (ratio, category), row in counts.iterrows():
        total = {"a": 20, "b": 10}[category]
        assert row["real"] == round(total * ratio / 100)
        assert row["nice"] + row["real"] == total


def test_without_thinning_each_domain_gives_its_share(uneven_manifest):
    chosen = choose(uneven_manifest, Mixtures(ratios=(0, 30, 100), balance=False))
    counts = chosen.groupby(["ratio", "domain"]).size().unstack(fill_value=0)
    assert counts.loc[0].tolist() == [60, 0]
    assert counts.loc[30].tolist() == [42, 15]
    assert counts.loc[100].tolist() == [0, 50]


@pytest.mark.parametrize("ratio", range(0, 101, 10))
def test_many_small_categories_hold_the_ratio_together(ratio):
    """Five images each: a tenth of five is no image, but a tenth of ten times five is five."""
    rows = [
        {
            "id": f"{domain}/{category}/{n}",
            "domain": domain,
            "category": f"c{category}",
            "split": "train",
            "status": "kept",
        }
        for domain in ("nice", "real")
        for category in range(10)
        for n in range(5)
    ]
    chosen = choose(pd.DataFrame(rows), Mixtures(ratios=(ratio,)))
    assert len(chosen) == 50 and (chosen["domain"] == "real").sum() == ratio / 2
    assert (chosen.groupby("category").size() == 5).all()


def test_only_training_images_are_chosen_and_each_once(uneven_manifest):
    chosen = choose(uneven_manifest, Mixtures(seeds=(0, 1)))
    assert set(chosen["split"]) == {"train"}
    assert not chosen.duplicated(["trial", "id"]).any()


def test_sets_of_one_seed_are_nested_and_seeds_differ(uneven_manifest):
    chosen = choose(uneven_manifest, Mixtures(ratios=(30, 60), seeds=(0, 1)))
    real = {key: set(ids) for key, ids in chosen[chosen["domain"] == "real"].groupby(["seed", "ratio"])["id"]}
    assert real[0, 30] < real[0, 60]
    assert real[0, 60] != real[1, 60]


def test_the_choice_does_not_depend_on_the_order_of_the_manifest(uneven_manifest):
    shuffled = uneven_manifest.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(
        choose(uneven_manifest, Mixtures())[["trial", "id"]], choose(shuffled, Mixtures())[["trial", "id"]]
    )
    sets = choose_training_sets(shuffled, list_trials(Mixtures()), True)
    pd.testing.assert_frame_equal(sets, sets.sort_values(["trial", "id"]).reset_index(drop=True))


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"ratios": [0, 101]}, "ratios is .*0 to 100"),
        ({"ratios": []}, "ratios is .*one or more"),
        ({"ratios": [0.5]}, "whole numbers"),
        ({"ratios": [10, 10]}, "list each value only once"),
        ({"seeds": [-1]}, "the parameter seeds is .*0 or more"),
        ({"learning_rate": 0}, "learning_rate is 0"),
        ({"learning_rate": "fast"}, "learning_rate is 'fast'"),
        ({"learning_rate": float("inf")}, "learning_rate is inf"),
        ({"l2": -1}, "l2 is -1"),
        ({"l2": None}, "l2 is None"),
        ({"balance": "no"}, "balance is 'no'"),
    ],
)
def test_wrong_settings_are_refused(wrong, complaint):
    with pytest.raises(ValueError, match=complaint):
        Mixtures(**wrong)


def test_what_rounding_leaves_goes_to_the_largest_remainders():
    """30% of 10, 7 and 3 images is 3.0, 2.1 and 0.9, together 6: the last category gets the one that is left."""
    rows = [
        {"id": f"{domain}/{category}/{n}", "domain": domain, "category": category, "split": "train", "status": "kept"}
        for domain in ("nice", "real")
        for category, count in (("a", 10), ("b", 7), ("c", 3))
        for n in range(count)
    ]
    chosen = choose(pd.DataFrame(rows), Mixtures(ratios=(30,)))
    counts = chosen.groupby(["domain", "category"]).size()
    assert counts["real"].to_dict() == {"a": 3, "b": 2, "c": 1}
    assert counts["nice"].to_dict() == {"a": 7, "b": 5, "c": 2}


def test_of_equal_remainders_the_first_categories_are_rounded_up():
    """Half of seven images is 3.5, half of six is 3: the 32 categories hold 104 real images, not 96 or 112."""
    rows = [
        {"id": f"{domain}/{name:02d}/{n}", "domain": domain, "category": name, "split": "train", "status": "kept"}
        for domain in ("nice", "real")
        for name in range(32)
        for n in range(7 - name % 2)
    ]
    chosen = choose(pd.DataFrame(rows), Mixtures(ratios=(50,)))
    assert chosen[chosen["domain"] == "real"].groupby("category").size().tolist() == [4, 3] * 8 + [3, 3] * 8
    assert chosen.groupby("category").size().tolist() == [7, 6] * 16
