from __future__ import annotations

import re
from dataclasses import replace
from hashlib import sha256
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixvision.images.audit import audit_splits, summarise_audit
from mixvision.images.components import components_of
from mixvision.images.leaks import list_leaks
from mixvision.images.splits import Splits, assign_splits, large_components, target_counts
from mixvision.vocabulary import SPLITS


def table(rows: list[tuple[str, str, int]]) -> pd.DataFrame:
    """Kept images from (domain, category, cluster)."""
    pictures = pd.DataFrame(rows, columns=["domain", "category", "cluster"])
    ids = pictures["domain"] + "/" + pictures["category"] + "/" + pd.Series(range(len(rows))).astype(str).str.zfill(4)
    return pictures.assign(
        id=ids, status="kept", group="", published="", component=pictures["cluster"], pixels_sha256=ids
    )


def summarise(manifest: pd.DataFrame, pairs: pd.DataFrame, splits: Splits) -> pd.DataFrame:
    return summarise_audit(manifest, pairs, list_leaks(manifest, pairs), splits)


def grouped(rows: list[tuple[str, str, int, str]]) -> pd.DataFrame:
    """Kept images from (domain, category, cluster, group)."""
    pictures = table([row[:3] for row in rows]).assign(group=[row[3] for row in rows])
    return pictures.assign(component=components_of(pictures))


def series(category: str, *sizes: int, domain: str = "nice") -> list[tuple[str, str, int, str]]:
    """Images of a category in groups of these sizes; two neighbours are near-duplicates."""
    groups = [f"{category} {number}" for number, size in enumerate(sizes) for _ in range(size)]
    return [
        (domain, category, hash_of(domain, category, place // 2, group), group) for place, group in enumerate(groups)
    ]


def hash_of(*parts: object) -> int:
    return int(sha256(repr(parts).encode()).hexdigest()[:12], 16)


def singles(count: int, domain: str = "nice", category: str = "apple", first: int = 0) -> list[tuple[str, str, int]]:
    return [(domain, category, first + number) for number in range(count)]


@st.composite
def clustered(draw) -> pd.DataFrame:
    """Two domains of two categories, 20 to 60 images each, in clusters of 1 to 8, some over categories and domains."""
    rows, number = [], 0
    for domain in ("nice", "real"):
        for category in ("apple", "pear"):
            rows += singles(draw(st.integers(12, 40)), domain, category, first=number)
            number += 100
            for size in draw(st.lists(st.integers(2, 8), max_size=4)):
                rows += [(domain, category, number)] * size
                number += 1
    for size in draw(st.lists(st.integers(1, 3), max_size=2)):
        rows += [(domain, category, number) for domain in ("nice", "real") for category in ("apple", "pear")] * size
        number += 1
    return table(rows)


@settings(deadline=None, max_examples=45)
@given(pictures=clustered(), seed=st.integers(0, 1000), test=st.sampled_from([0.2, 0.4]))
def test_no_cluster_ever_crosses_and_every_image_has_one_split(pictures, seed, test):
    splits = Splits(seed=seed, test=test, validation=0.1)
    result = assign_splits(pictures, splits)
    assert (result.groupby("cluster")["split"].nunique() == 1).all()
    assert list(result["id"]) == list(pictures["id"]) and result["split"].isin(SPLITS).all()
    assert not result["leaks"].any()
    shares = {"test": test, "validation": 0.1, "train": 0.9 - test}
    for _, stratum in result.groupby(["domain", "category"]):
        tolerance = stratum.groupby("cluster").size().max() + 1
        for split, share in shares.items():
            assert abs((stratum["split"] == split).sum() - share * len(stratum)) <= tolerance


@settings(deadline=None, max_examples=20)
@given(pictures=clustered(), seed=st.integers(0, 1000))
def test_plain_split_is_exactly_stratified_and_names_what_leaks(pictures, seed):
    result = assign_splits(pictures, Splits(method="plain", seed=seed))
    for _, stratum in result.groupby(["domain", "category"]):
        assert (stratum["split"] == "test").sum() == round(0.4 * len(stratum))
        assert (stratum["split"] == "validation").sum() == round(0.1 * len(stratum))
    train, validation = (set(result.loc[result["split"] == split, "cluster"]) for split in ("train", "validation"))
    before = {"train": set(), "validation": train, "test": train | validation}
    assert list(result["leaks"]) == [row.cluster in before[row.split] for row in result.itertuples()]


def test_targets_are_met_exactly_where_singles_even_out():
    rows = singles(70) + [("nice", "apple", 1000 + number // 6) for number in range(30)]
    counts = assign_splits(table(rows), Splits(seed=3))["split"].value_counts()
    assert counts.to_dict() == {"train": 50, "test": 40, "validation": 10}


def test_seed_decides():
    pictures = table(singles(60) + [("nice", "apple", 1000 + number // 3) for number in range(30)])
    first, again, other = (assign_splits(pictures, Splits(seed=seed))["split"] for seed in (1, 1, 2))
    assert (first == again).all() and (first != other).any()
    placed = [assign_splits(pictures, Splits(seed=seed))["split"].iloc[-1] for seed in range(40)]
    assert set(placed) == set(SPLITS), "clusters go to every split, not only to training"


def test_a_cluster_above_the_share_stays_in_training_and_is_reported():
    pictures = table([("nice", "apple", 7)] * 12 + singles(10, first=100))
    for seed in range(10):
        result = assign_splits(pictures, Splits(seed=seed))
        assert set(result.loc[result["cluster"] == 7, "split"]) == {"train"}
    found = large_components(pictures, 0.5)
    assert found[["domain", "category", "component", "images"]].values.tolist() == [["nice", "apple", 7, 12]]
    assert large_components(pictures, 0.6).empty


def test_a_cluster_of_just_the_share_is_not_too_large():
    pictures = table([("nice", "apple", 7)] * 6 + singles(6, first=100))
    assert large_components(pictures, 0.5).empty
    placed = {assign_splits(pictures, Splits(test=0.5, seed=seed))["split"].iloc[0] for seed in range(20)}
    assert placed == {"test"}, "the only split with room for it; one too large would be trained on"


def test_single_images_are_never_too_large():
    counts = assign_splits(table(singles(10)), Splits(largest_cluster=0.05))["split"].value_counts()
    assert counts.to_dict() == {"train": 5, "test": 4, "validation": 1}


@pytest.mark.parametrize("seed", range(10))
def test_the_largest_cluster_is_placed_first(seed):
    """Targets are 15, 3 and 12: the twelve fit while there is room, and the threes fill what is left."""
    pictures = table([("nice", "apple", 0 if number < 12 else number // 3) for number in range(30)])
    counts = assign_splits(pictures, Splits(seed=seed))["split"].value_counts()
    assert counts.to_dict() == {"train": 15, "test": 12, "validation": 3}


@pytest.mark.parametrize(("size", "expected"), [(2, [0.5, 0.1, 0.4]), (8, [10 / 18, 0, 8 / 18])])
def test_a_cluster_is_drawn_among_the_splits_with_room_in_proportion_to_it(size, expected):
    """Each of 300 categories has room for 10, 2 and 8 images."""
    rows = [("nice", f"c{category}", 20 * category) for category in range(300) for _ in range(size)]
    for category in range(300):
        rows += singles(20 - size, category=f"c{category}", first=20 * category + 1)
    result = assign_splits(table(rows), Splits())
    shares = result["split"].iloc[: 300 * size].value_counts(normalize=True).reindex(SPLITS, fill_value=0)
    assert shares.to_list() == pytest.approx(expected, abs=0.08)
    assert result["split"].value_counts().to_dict() == {"train": 3000, "validation": 600, "test": 2400}


def test_large_components_are_those_of_two_images_or_more():
    pictures = table([*singles(1, category="fig"), *[("nice", "pear", 7)] * 2, *singles(1, category="pear", first=9)])
    assert large_components(pictures, 0.5).to_dict("records") == [
        {"domain": "nice", "category": "pear", "component": 7, "images": 2, "share": pytest.approx(2 / 3)}
    ]


def test_a_category_of_one_cluster_is_an_error():
    pictures = table([("real", "pear", 7)] * 12 + singles(20))
    with pytest.raises(ValueError, match=r"No test image is left for real 'pear'"):
        assign_splits(pictures, Splits())
    assert (assign_splits(pictures, Splits(method="plain"))["split"] == "test").sum() == 13
    bursts = [("nice", "fig", 8)] * 4 + [("real", "pear", 7)] * 12
    with pytest.raises(
        ValueError, match=r"left for nice 'fig' \(4 images, all of one group .*, real 'pear' \(12 images, all of one"
    ):
        assign_splits(table(bursts + singles(20)), Splits())


def test_no_validation_is_an_error():
    two_bursts = [("nice", "apple", 0)] * 5 + [("nice", "apple", 1)] * 5
    with pytest.raises(ValueError, match="No validation image is left in nice"):
        assign_splits(table(two_bursts), Splits())
    more = [("real", "apple", 2)] * 5 + [("real", "apple", 3)] * 5
    with pytest.raises(ValueError, match="left in nice, real: its images are of only 2 groups .* source's group"):
        assign_splits(table(two_bursts + more), Splits())
    with pytest.raises(ValueError, match="left in real: its images are of only 2 groups"):
        assign_splits(table(more + [("nice", "apple", number + 9) for number in range(20)]), Splits())


def test_a_category_of_few_images_has_one_for_validation():
    for method in ("grouped", "plain"):
        split = assign_splits(table(singles(4)), Splits(method=method))["split"]
        assert split.value_counts().to_dict() == {"test": 2, "train": 1, "validation": 1}


@pytest.mark.parametrize("method", ["grouped", "plain"])
def test_every_category_has_a_validation_image_however_small_the_share(method):
    rows = singles(10) + singles(40, category="pear", first=100) + singles(7, "real", "apple", 200)
    result = assign_splits(table(rows), Splits(method=method, test=0.2, validation=0.001))
    validation = result[result["split"] == "validation"]
    assert validation.groupby(["domain", "category"]).size().tolist() == [1, 1, 1]


@pytest.mark.parametrize("bursts", [[20] * 5, [30] * 3, [4, 3, 3]])
def test_bursts_larger_than_the_validation_target_give_up_the_smallest(bursts):
    rows = [("nice", "apple", cluster) for cluster, size in enumerate(bursts) for _ in range(size)]
    chosen = set()
    for seed in range(20):
        result = assign_splits(table(rows), Splits(seed=seed))
        assert (result.groupby("cluster")["split"].nunique() == 1).all() and not result["leaks"].any()
        counts = result["split"].value_counts()
        assert set(counts.index) == set(SPLITS) and counts["validation"] == min(bursts)
        chosen.add(result.loc[result["split"] == "validation", "cluster"].iloc[0])
    assert len(chosen) > 1, "the seed decides which"


def test_every_category_of_three_bursts_or_more_has_validation_images():
    rows = [("nice", "apple", number // 5) for number in range(10)]
    rows += [("nice", "pear", 10 + number // 20) for number in range(60)]
    rows += [("nice", "quince", 20 + number // 20) for number in range(60)]
    counts = assign_splits(table(rows), Splits()).groupby("category")["split"].value_counts().unstack(fill_value=0)
    assert counts.loc["apple"].to_dict() == {"test": 5, "train": 5, "validation": 0}
    assert counts.loc["pear"].to_dict() == {"test": 20, "train": 20, "validation": 20}
    assert counts.loc["quince"].to_dict() == counts.loc["pear"].to_dict()


def test_a_burst_of_just_the_largest_share_can_be_given_up():
    rows = [("nice", "apple", number // 5) for number in range(20)]
    assert assign_splits(table(rows), Splits(largest_cluster=0.25))["split"].value_counts()["validation"] == 5


def test_a_burst_is_not_given_up_where_another_category_needs_it():
    shared = [("nice", "apple", 0)] * 3 + [("nice", "pear", 0)] * 10  # the pears' only cluster in training
    rows = shared + [("nice", "apple", 1 + number // 4) for number in range(8)] + [("nice", "pear", 9)] * 10
    for seed in range(20):
        result = assign_splits(table(rows), Splits(seed=seed))
        counts = result.groupby("category")["split"].value_counts().unstack(fill_value=0)
        assert counts.loc["apple", "validation"] == 4 and (counts.loc["apple"] > 0).all()
        assert counts.loc["pear"].to_dict() == {"train": 10, "validation": 0, "test": 10}


@pytest.mark.parametrize("method", ["grouped", "plain"])
def test_numbers_of_images_are_met_in_every_category(method):
    rows = singles(90) + singles(150, category="pear", first=100) + singles(51, "real", "apple", 300)
    result = assign_splits(table(rows), Splits(method=method, validation=30, test=20))
    counts = result.groupby(["domain", "category"])["split"].value_counts().unstack()
    assert counts["validation"].tolist() == [30] * 3 and counts["test"].tolist() == [20] * 3
    assert counts["train"].tolist() == [40, 100, 1]
    shared = assign_splits(table(rows), Splits(method=method, validation=30, test=0.2))["split"]
    assert shared.value_counts().to_dict() == {"train": 291 - 90 - 58, "validation": 90, "test": 58}
    one = assign_splits(table(rows), Splits(method=method, validation=1, test=1))["split"]
    assert one.value_counts().to_dict() == {"train": 285, "validation": 3, "test": 3}
    with pytest.raises(ValueError, match=r"No train image is left for real 'apple' .* splits\.test and splits\.valid"):
        assign_splits(table(rows), Splits(method=method, validation=31, test=20))


def test_a_category_smaller_than_the_test_number_leaves_no_training_images():
    with pytest.raises(ValueError, match="No train image is left for nice 'pear'"):
        assign_splits(table(singles(90) + singles(5, category="pear", first=100)), Splits(validation=30, test=20))


@settings(deadline=None, max_examples=35)
@given(pictures=clustered(), seed=st.integers(0, 1000), method=st.sampled_from(["grouped", "plain"]))
def test_an_independent_test_set_is_tested_on_and_never_seen_in_training(pictures, seed, method):
    splits = Splits(method=method, seed=seed, validation=3, test=0.2, test_only="real")
    result = assign_splits(pictures, splits)
    real = result["domain"] == "real"
    assert (result.loc[real, "split"] == "test").all()
    trained = result.loc[result["split"] == "train", "cluster"]
    touching = result["cluster"].isin(result.loc[real, "cluster"])
    if method == "grouped":
        assert (result.groupby("cluster")["split"].nunique() == 1).all() and not result["leaks"].any()
        assert (result.loc[touching, "split"] == "test").all()
        alone = assign_splits(pictures[~touching], Splits(seed=seed, validation=3, test=0.2))
        assert (result.loc[~touching, "split"] == alone["split"]).all(), "the rest is divided as if it were all"
    else:
        assert (result.loc[real, "leaks"] >= result.loc[real, "cluster"].isin(trained)).all()
        nice = pictures[~real.to_numpy()]
        assert (result.loc[~real, "split"] == assign_splits(nice, Splits("plain", 0.2, 3, seed))["split"]).all()


def test_a_test_only_domain_needs_one_image_a_category_and_its_audit_holds():
    rows = singles(40) + singles(30, category="pear", first=100) + [("nice", "apple", 200)] * 3
    rows += [("real", "apple", 200), ("real", "pear", 300), ("real", "pear", 300)]
    pictures, splits = table(rows), Splits(test_only="real")
    result = assign_splits(pictures, splits)
    assert set(result.loc[result["split"] == "validation", "category"]) == {"apple", "pear"}
    assert set(result.loc[result["cluster"] == 200, "split"]) == {"test"}
    twins = result.loc[result["cluster"] == 200, "id"].tolist()
    pairs = pd.DataFrame(list(pairwise(twins)), columns=["id_a", "id_b"])
    summary = summarise(result, pairs, splits).set_index("finding")
    assert summary.loc["pairs crossing in the splits used", "count"] == 0
    assert summary.loc["clusters or groups too large for the splits", "count"] == 0, (
        "the real pears' is for testing, whatever its size"
    )
    assert summary.loc["categories without validation images", "detail"] == ""
    assert summary.loc["categories whose splits differ from what was asked", "detail"] == ""
    plain = replace(splits, method="plain")
    leaking = assign_splits(pictures, plain)
    assert leaking.loc[(leaking["domain"] == "real") & (leaking["category"] == "apple"), "leaks"].all()


def test_a_study_without_images_for_training_is_refused():
    with pytest.raises(ValueError, match=r"All images belong to the domain 'real', which splits\.test_only keeps"):
        assign_splits(table(singles(20, "real") + singles(20, "real", "pear", 50)), Splits(test_only="real"))
    twins = [(domain, "apple", 7) for domain in ("nice", "real")] * 5
    with pytest.raises(ValueError, match="No train image is left for nice 'apple'"):
        assign_splits(table(twins), Splits(test_only="real"))
    absent = assign_splits(table(singles(20)), Splits(test_only="real"))
    assert absent.equals(assign_splits(table(singles(20)), Splits())), "the study may be run without its second domain"


def test_the_audit_names_categories_without_validation_images_and_far_from_the_targets():
    rows = [("nice", "apple", 0)] * 5 + [("nice", "apple", 1)] * 5 + singles(100, category="pear", first=9)
    summary = summarise(assign_splits(table(rows), Splits()), pd.DataFrame({"id_a": [], "id_b": []}), Splits())
    details = summary.set_index("finding")["detail"]
    assert details["categories without validation images"] == "nice apple"
    assert details["categories whose splits differ from what was asked"] == ""
    wide = Splits(validation=0.1, test=0.3)
    summary = summarise(assign_splits(table(rows), wide), pd.DataFrame({"id_a": [], "id_b": []}), wide)
    far = summary.set_index("finding").loc["categories whose splits differ from what was asked"]
    assert far["count"] == 1 and far["detail"] == "nice apple (5 train, 0 validation, 5 test)"


@pytest.mark.parametrize(
    "values",
    [{"method": "random"}, {"test": 0}, {"test": 1.5}, {"test": float("inf")}, {"test": -1}, {"validation": 0.6},
     {"validation": 0}, {"validation": 30.5}, {"seed": -1}, {"largest_cluster": 0}, {"largest_cluster": 1.1},
     {"test_only": "ugly"}, {"on_single_group": "ignore"}],
)  # fmt: skip
def test_bad_parameters_are_refused_with_their_values(values):
    ((name, value),) = values.items()
    with pytest.raises(ValueError, match=rf"{name} is {value!r}(, but must be |; give a number|; choose one of )"):
        Splits(**values)


@pytest.mark.parametrize(
    "values",
    [{"test": 1, "validation": 0.9}, {"test": 0.9, "validation": 1}, {"test": 0.5, "validation": 0.49},
     {"largest_cluster": 1}],
)  # fmt: skip
def test_numbers_of_images_go_with_any_share(values):
    assert vars(Splits(**values)).items() >= values.items()


def test_the_refusal_of_a_validation_share_names_the_limit():
    with pytest.raises(ValueError, match=r"validation is 0\.7, but must be below 1 - test, 0\.7"):
        Splits(test=0.3, validation=0.7)


@pytest.fixture
def audited() -> tuple[pd.DataFrame, pd.DataFrame]:
    """20 twins of apples, a category of one object, and the pairs of both."""
    rows = [("nice", "apple", number // 2) for number in range(40)] + [("nice", "fig", 99)] * 6
    pictures = table(rows + singles(10, "real", "apple", 200) + singles(10, "real", "fig", 300))
    apples, figs = (pictures.loc[pictures["id"].str.startswith(f"nice/{name}"), "id"] for name in ("apple", "fig"))
    pairs = list(zip(apples[::2], apples[1::2], strict=True)) + list(pairwise(figs))
    return pictures, pd.DataFrame(pairs, columns=["id_a", "id_b"])


def findings(summary: pd.DataFrame) -> dict[str, int]:
    return dict(zip(summary["finding"], summary["count"], strict=True))


def test_audit_of_the_plain_split_counts_what_leaks(audited):
    pictures, pairs = audited
    splits = Splits(method="plain", seed=1)
    manifest = assign_splits(pictures, splits)
    audit = audit_splits(manifest).set_index(["domain", "category"])
    assert audit.loc[("nice", "apple"), ["images", "clusters", "largest_cluster"]].tolist() == [40, 20, 2]
    assert audit["single_object"].to_dict() == {
        ("nice", "apple"): False, ("nice", "fig"): True, ("real", "apple"): False, ("real", "fig"): False,
    }  # fmt: skip
    assert (audit[list(SPLITS)].sum(axis=1) == audit["images"]).all()
    summary = findings(summarise(manifest, pairs, splits))
    split = manifest.set_index("id")["split"]
    crossing = int((split[pairs["id_a"]].to_numpy() != split[pairs["id_b"]].to_numpy()).sum())
    assert crossing > 0
    assert summary["pairs crossing in the splits used"] == crossing
    assert summary["pairs a plain random split would leak"] == crossing
    assert summary["held-out images leaking in the splits used"] == manifest["leaks"].sum() > 0
    assert summary["near-duplicate pairs"] == 25 and summary["clusters or groups too large for the splits"] == 1
    assert summary["categories of a single object or group"] == 1


def test_audit_fails_when_a_planted_duplicate_crosses(audited):
    pictures, pairs = audited
    pictures = pictures[pictures["category"] == "apple"]
    pairs = pairs[pairs["id_a"].str.contains("apple")]
    manifest = assign_splits(pictures, Splits())
    assert findings(summarise(manifest, pairs, Splits()))["pairs crossing in the splits used"] == 0
    row = manifest.index[(manifest["domain"] == "nice") & (manifest["split"] == "test")][0]
    manifest.loc[row, "split"] = "train"
    with pytest.raises(RuntimeError, match="1 pairs of near-duplicates and 1 components cross"):
        summarise(manifest, pairs, Splits())


def test_many_images_are_split():
    clusters = np.random.default_rng(0).integers(0, 15_000, 20_000)
    pictures = table([("nice", str(number % 20), int(cluster)) for number, cluster in enumerate(clusters)])
    result = assign_splits(pictures, Splits())
    assert (result.groupby("cluster")["split"].nunique() == 1).all()


@pytest.mark.parametrize(
    ("size", "expected"),
    [(1, [1, 0, 0]), (2, [1, 0, 1]), (3, [1, 1, 1]), (4, [1, 1, 2]), (10, [5, 1, 4]), (100, [54, 6, 40])],
)
def test_a_single_image_that_is_not_tested_on_is_trained_on(size, expected):
    """Validation takes at least one, but never the last: of two images one is for training and one for testing."""
    splits = Splits(test=0.4, validation=0.06)
    assert target_counts(np.array([size]), splits).tolist() == [expected]


def test_targets_never_exceed_what_a_category_has():
    sizes = np.array([5, 30, 60])
    assert target_counts(sizes, Splits(test=20, validation=30)).tolist() == [[0, 0, 5], [0, 10, 20], [10, 30, 20]]


@st.composite
def in_groups(draw) -> pd.DataFrame:
    """Two domains of three categories, 3 to 30 images each, in clusters and groups of any sizes and categories."""
    numbers, fewest = st.integers(0, draw(st.integers(20, 400))), draw(st.integers(3, 20))
    names = st.sampled_from(
        [""] * draw(st.integers(1, 30)) + [f"g{number}" for number in range(draw(st.integers(0, 9)))]
    )
    rows = [
        (domain, category, draw(numbers), draw(names))
        for domain in ("nice", "real")
        for category in ("apple", "fig", "pear")
        for _ in range(draw(st.integers(fewest, 30)))
    ]
    return grouped(rows)


@settings(deadline=None, max_examples=35)
@given(pictures=in_groups(), seed=st.integers(0, 99), single=st.sampled_from(["refuse", "train"]))
def test_no_cluster_and_no_group_ever_crosses_whatever_the_sizes(pictures, seed, single):
    try:
        result = assign_splits(pictures, Splits(seed=seed, on_single_group=single))
    except ValueError as error:
        assert re.match("No (train|validation|test) image is left", str(error))
        return
    assert (result.groupby("cluster")["split"].nunique() == 1).all()
    named = result[result["group"] != ""]
    assert (named.groupby(["domain", "group"])["split"].nunique() == 1).all() and not result["leaks"].any()
    again = assign_splits(pictures.sample(frac=1, random_state=seed), Splits(seed=seed, on_single_group=single))
    assert again["split"].sort_index().equals(result["split"]), "the order of the rows makes no difference"


@settings(deadline=None, max_examples=35)
@given(
    sizes=st.lists(st.integers(1, 20), min_size=8, max_size=30),
    seed=st.integers(0, 99),
    test=st.sampled_from([0.1, 0.2, 0.4]),
)
def test_shares_are_within_the_largest_groups_size_of_the_targets(sizes, seed, test):
    splits = Splits(seed=seed, test=test)
    pictures = grouped(series("apple", *sizes, *[1] * 10))
    pictures = pictures.assign(component=pd.factorize(pictures["group"])[0])
    counts = assign_splits(pictures, splits)["split"].value_counts().reindex(SPLITS, fill_value=0)
    (targets,) = target_counts(np.array([len(pictures)]), splits)
    assert (abs(counts - targets) < max(sizes)).all() or (max(sizes) == 1 and (counts == targets).all())


def moved(before: pd.DataFrame, after: pd.DataFrame) -> pd.Series:
    """The images of `before` whose split is another one now, by domain and category."""
    splits = before.merge(after, on="id", suffixes=("", "_after"))
    return splits[splits["split"] != splits["split_after"]].groupby(["domain", "category"]).size()


@settings(deadline=None, max_examples=25)
@given(pictures=clustered(), seed=st.integers(0, 99), name=st.text("abcxyz", min_size=1))
def test_an_image_moves_none_of_the_categories_that_it_is_not_linked_with(pictures, seed, name):
    linked = pictures.groupby("component")["category"].transform("nunique") > 1
    pictures = pictures[~linked]
    one = pictures.iloc[[0]].assign(id=f"nice/apple/{name}", cluster=10**6, component=10**6)
    before, after = (assign_splits(some, Splits(seed=seed)) for some in (pictures, pd.concat([pictures, one])))
    assert set(moved(before, after).index) <= {("nice", "apple")}


def test_an_image_moves_at_most_three_others_of_single_images_and_few_of_groups():
    alone, groups = table(singles(200)), grouped(series("apple", *range(1, 20)) + series("apple", *[1] * 60))
    for pictures, most, usual in ((alone, 3, 2), (groups, 40, 4)):
        counts = []
        for number in range(12):
            one = pictures.iloc[[0]].assign(id=f"nice/apple/new {number}", cluster=10**6, component=10**6)
            before, after = (assign_splits(some, Splits()) for some in (pictures, pd.concat([pictures, one])))
            counts.append(moved(before, after).sum())
        assert max(counts) <= most and np.median(counts) <= usual


def test_splits_are_the_same_on_every_machine():
    """Whatever changes this changes the results of all studies."""
    pictures = grouped(series("apple", 4, 4, 3, 3, 2, *[1] * 8))
    splits = assign_splits(pictures, Splits())["split"].str[:2].str.cat()
    assert splits == "tetetetetetetetetrtrtrtrtrtrtrtrtrtrtetrvavatrte"


def test_a_category_of_a_single_group_is_refused_trained_on_or_divided_as_asked():
    pictures = grouped(series("apple", *[4] * 20) + series("fig", 40) + series("pear", *[1] * 30))
    with pytest.raises(
        ValueError,
        match=r"left for nice 'fig' \(40 images, all of one .*splits\.on_single_group to train",
    ):
        assign_splits(pictures, Splits())
    trained = assign_splits(pictures, Splits(on_single_group="train"))
    figs = trained["category"] == "fig"
    assert set(trained.loc[figs, "split"]) == {"train"} and not trained["leaks"].any()
    divided = assign_splits(pictures, Splits(on_single_group="divide"))
    counts = divided.loc[figs, "split"].value_counts()
    assert counts.to_dict() == {"train": 20, "test": 16, "validation": 4}
    assert (divided.groupby("cluster")["split"].nunique() == 1).all(), "near-duplicates stay together"
    assert divided["leaks"].equals(figs & (divided["split"] != "train"))
    assert divided.loc[~figs, "split"].equals(trained.loc[~figs, "split"])


def test_near_duplicates_are_not_divided():
    pictures = table([("nice", "fig", 7)] * 12 + singles(30, category="pear", first=20))
    with pytest.raises(ValueError, match="No test image is left for nice 'fig'"):
        assign_splits(pictures, Splits(on_single_group="divide"))
    assert set(assign_splits(pictures, Splits(on_single_group="train"))["split"].iloc[:12]) == {"train"}


def test_a_group_over_categories_is_divided_only_where_it_is_all_there_is():
    day = [("nice", "fig", number, "monday") for number in range(20)]
    day += [("nice", "pear", 100 + number, "monday") for number in range(5)]
    pictures = grouped(day + series("pear", *[2] * 20))
    result = assign_splits(pictures, Splits(on_single_group="divide"))
    pears = result[(result["category"] == "pear") & (result["group"] == "monday")]
    assert pears["split"].nunique() == 1 and result.loc[result["category"] == "fig", "split"].nunique() == 3


def test_a_single_group_stays_in_training_even_if_no_group_is_too_large():
    pictures = grouped(series("fig", 12) + series("pear", *[1] * 30))
    splits = Splits(largest_cluster=1, test=0.8, on_single_group="train")
    assert set(assign_splits(pictures, splits)["split"].iloc[:12]) == {"train"}


def test_a_domain_that_cannot_be_tested_at_all_is_refused():
    pictures = grouped(series("fig", 12) + series("pear", 12) + series("plum", 12))
    with pytest.raises(ValueError, match=r"No validation image is left in nice: add other pictures"):
        assign_splits(pictures, Splits(on_single_group="train"))


@pytest.mark.parametrize("seed", range(10))
def test_groups_that_would_all_be_trained_on_give_up_one_for_testing(seed):
    """Targets are 80, 10 and 10: the first two fill training nearly, and most room for the third is there, too."""
    result = assign_splits(grouped(series("apple", 30, 30, 30)), Splits(test=0.1, seed=seed))
    assert result["split"].value_counts().to_dict() == {"train": 30, "validation": 30, "test": 30}


def test_the_audit_counts_groups_over_several_categories():
    pictures = grouped(series("apple", *[4] * 20) + series("fig", *[4] * 20))
    pictures.loc[pictures["group"].isin(pictures["group"].unique()[[0, 25]]), "group"] = "a day"
    splits = Splits()
    summary = summarise(assign_splits(pictures, splits), pd.DataFrame({"id_a": [], "id_b": []}), splits)
    found = summary.set_index("finding").loc["groups with images of several categories"].tolist()
    assert found == [1, "such as a day, with 2 categories"]


def test_the_audit_says_what_groups_do():
    pictures = grouped(series("apple", *[4] * 20) + series("fig", 40) + series("pear", *[1] * 30))
    none = pd.DataFrame({"id_a": [], "id_b": []})
    plain = assign_splits(pictures, Splits(method="plain"))
    named = pictures.groupby("group")["id"].transform("size") > 1
    in_training = plain.groupby("group")["split"].transform(lambda split: (split == "train").any())
    seen = int((in_training & (plain["split"] != "train") & named).sum())
    leaks = {}
    for single, text in (
        ("train", "kept in training, not tested: nice fig"),
        ("divide", "divided, and leaking: nice fig"),
    ):
        splits = Splits(on_single_group=single)
        result = assign_splits(pictures, splits)
        summary = summarise(result, none, splits).set_index("finding")
        assert summary.loc["images with a group"].tolist() == [150, "51 groups"]
        assert summary.loc["groups with images of several categories"].tolist() == [0, ""]
        assert summary.loc["categories of a single object or group"].tolist() == [1, text]
        assert summary.loc["held-out images of a group that a plain random split would train on", "count"] == seen > 40
        leaks[single] = summary.loc["held-out images of a group trained on in the splits used", "count"]
        audit = audit_splits(result).set_index("category")
        assert audit["components"].to_dict() == {"apple": 20, "fig": 1, "pear": 30}
        assert audit["largest_component"].to_dict() == {"apple": 4, "fig": 40, "pear": 1}
        assert audit["single_object"].to_dict() == {"apple": False, "fig": True, "pear": False}
        assert summary.loc["categories without test images", "detail"] == ("nice fig" if single == "train" else "")
        large = "kept whole in training" if single == "train" else "divided"
        assert summary.loc["clusters or groups too large for the splits", "detail"] == f"{large}: nice fig 100%"
        deviation = summary.loc["images in another split than asked"]
        if single == "train":
            assert deviation["count"] == 20
            assert deviation["detail"] == "nice train 63.3% of 50.0%, validation 7.3% of 10.0%, test 29.3% of 40.0%"
        else:
            assert deviation["count"] == 0
    assert leaks == {"train": 0, "divide": 20}


def test_audit_fails_when_a_group_crosses():
    pictures = grouped(series("apple", *[4] * 20) + series("fig", 40))
    result = assign_splits(pictures, Splits(on_single_group="divide"))
    none = pd.DataFrame({"id_a": [], "id_b": []})
    result.loc[0, "split"] = "train" if result.loc[0, "split"] == "test" else "test"
    with pytest.raises(RuntimeError, match="0 pairs of near-duplicates and 1 components cross"):
        summarise(result, none, Splits(on_single_group="divide"))
