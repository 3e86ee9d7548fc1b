from __future__ import annotations

import logging
import re

import numpy as np
import pandas as pd
import pytest

from mixvision.images.audit import summarise_audit
from mixvision.images.leaks import list_leaks
from mixvision.images.sources import open_source
from mixvision.images.split_names import split_meant, split_named, splits_among
from mixvision.images.splits import Splits, assign_splits

PUBLISHED = Splits(method="published", validation=0.25)


@pytest.fixture
def open_published(make_folder, tmp_path):
    """Open a folder with these subfolders: `open_published({"train/apple": 3}, layout=...)`."""

    def opened(counts: dict[str, int], table: str | None = None, **settings):
        root = tmp_path / "photos"
        for folder, count in counts.items():
            make_folder(root / folder, {"": count})
        if table is not None:
            (root / "splits.csv").write_text(table)
        return open_source(str(root), "nice", tmp_path / "data" / "raw" / "nice", **settings)

    return opened


def pictures(**published: list[str]) -> pd.DataFrame:
    """Images of the domains nice and real in these published splits, each in a component of its own."""
    rows = [(domain, split) for domain, splits in published.items() for split in splits]
    table = pd.DataFrame(rows, columns=["domain", "published"])
    ids = [f"{domain}/{number:03d}" for number, (domain, _) in enumerate(rows)]
    return table.assign(
        id=ids,
        category="apple",
        group="",
        cluster=range(len(rows)),
        component=range(len(rows)),
        status="kept",
        pixels_sha256=ids,
    )


def test_the_layout_names_published_splits(open_published):
    counts = {"Training/apple": 2, "Training/pear": 2, "val/apple": 2, "val/pear": 2, "TEST/apple": 2, "TEST/pear": 2}
    raw = open_published(counts, layout="{split}/{category}/*")
    assert {category for category, _ in raw.files} == {"apple", "pear"}
    assert {path.split("/")[0]: split for path, split in raw.published.items()} == {
        "Training": "train",
        "val": "validation",
        "TEST": "test",
    }
    assert len(raw.published) == 12


def test_a_table_names_published_splits(open_published):
    files = ["apple/000.png", "apple/001.png", "pear/000.png", "pear/001.png"]
    table = "name;subset\n" + "\n".join(
        f"{file};{split}" for file, split in zip(files, ["train", "test"] * 2, strict=True)
    )
    split = {"table": "splits.csv", "file": "name", "split": "subset"}
    raw = open_published({"apple": 2, "pear": 2}, table, split=split)
    assert raw.published == dict(zip(files, ["train", "test"] * 2, strict=True))
    assert [path for _, path in raw.files] == files, "the table is no file that was left out"
    message = re.escape("The 'nice' image pear/001.png has no split, but each must have one of train, training,")
    with pytest.raises(ValueError, match=message):
        open_published({}, table.rsplit("\n", 1)[0], split=split)


def test_folders_of_splits_are_not_taken_for_categories(open_published):
    with pytest.raises(ValueError, match=re.escape("would be test, train, which are splits: set layout")):
        open_published({"train/apple": 1, "test/apple": 1})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layout": "{split}/{category}/*"}, "apple/extra/000.png has the split 'apple', but each must have one of"),
        ({"layout": "{split}/{split}/{category}"}, "must name {split} at most once"),
        ({"split": {"table": "splits.csv"}}, "split is {'table': 'splits.csv'}, but must be a mapping of table, file"),
        (
            {"layout": "{split}/{category}/*", "split": {"table": "t", "file": "f", "split": "s"}},
            "Both layout and split name the splits",
        ),
    ],
)
def test_unclear_splits_are_refused(open_published, settings, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        open_published({"apple/extra": 1, "pear/extra": 1}, **settings)


def test_published_splits_are_taken_as_they_are():
    names = ["train"] * 6 + ["validation"] * 2 + ["test"] * 3
    result = assign_splits(pictures(nice=names, real=names), PUBLISHED)
    assert result["split"].tolist() == names * 2 and not result["leaks"].any()


def test_what_published_splits_leak_is_listed():
    names = ["train"] * 6 + ["validation"] * 2 + ["test"] * 3
    table = pictures(nice=names)
    table.loc[[0, 10], "component"] = 99
    table.loc[[1, 9], ["component", "group"]] = [98, "day"]
    result = assign_splits(table, PUBLISHED)
    assert result["split"].tolist() == names and np.flatnonzero(result["leaks"]).tolist() == [9, 10]
    leaks = list_leaks(result, pd.DataFrame({"id_a": ["nice/000"], "id_b": ["nice/010"]}))
    assert leaks[["id", "kind", "of"]].to_numpy().tolist() == [
        ["nice/009", "same group", "nice/001"],
        ["nice/010", "near-duplicate", "nice/000"],
    ]


def test_without_published_validation_images_some_for_training_validate_in_whole_components():
    table = pictures(nice=["train"] * 40 + ["test"] * 10)
    table["component"] //= 4
    result = assign_splits(table, PUBLISHED)
    assert (result["split"][40:] == "test").all()
    assert (result["split"][:40] == "validation").sum() in (8, 12)  # of components of four; a quarter of 40 is wanted
    assert result.groupby("component")["split"].nunique().max() == 1


def test_without_published_test_images_those_for_validation_test():
    result = assign_splits(pictures(nice=["train"] * 40 + ["validation"] * 10), PUBLISHED)
    assert (result["split"][40:] == "test").all()
    assert (result["split"][:40] == "validation").sum() == 10


def test_images_without_published_splits_are_divided_and_join_those_they_belong_to():
    table = pictures(nice=["train"] * 10 + ["validation"] * 4 + ["test"] * 6, real=[""] * 40)
    table.loc[[12, 20], "component"] = 98
    table.loc[[0, 18, 21], "component"] = 99
    table.loc[[22, 23], "component"] = 97
    result = assign_splits(table, PUBLISHED)
    real = result[result["domain"] == "real"]["split"]
    assert real[20] == "validation" and real[21] == "train" and real[22] == real[23]
    assert set(real) == {"train", "validation", "test"} and 10 <= (real == "test").sum() <= 17
    assert result.index[result["leaks"]].tolist() == [18]


def test_no_published_split_at_all_is_refused():
    with pytest.raises(ValueError, match="no source names splits"):
        assign_splits(pictures(nice=[""] * 20), PUBLISHED)


def test_the_audit_asks_nothing_of_published_splits():
    names = ["train"] * 30 + ["validation"] * 2 + ["test"] * 3
    none = pd.DataFrame({"id_a": [], "id_b": []}, dtype=str)

    def deviations(table: pd.DataFrame, splits: Splits) -> list[int]:
        result = assign_splits(table, splits)
        summary = summarise_audit(result, none, list_leaks(result, none), splits).set_index("finding")["count"]
        asked = ["categories whose splits differ from what was asked", "images in another split than asked"]
        return summary[asked].tolist()

    assert deviations(pictures(nice=names), PUBLISHED) == [0, 0]
    table = pictures(nice=names, real=[""] * 10)
    table.loc[35:41, "component"] = 99
    wide = Splits(method="published", largest_cluster=0.9)
    got = assign_splits(table, wide)["split"][35:].value_counts()
    wanted = {"train": 5, "validation": 1, "test": 4}
    assert deviations(table, wide)[1] == sum(max(0, got.get(split, 0) - count) for split, count in wanted.items()) > 0


def test_the_audit_says_which_images_are_used_otherwise_than_published():
    table = pictures(nice=["train"] * 8 + ["test"] * 4, real=["train"] * 6 + ["validation"] * 4)
    result = assign_splits(table, PUBLISHED)
    none = pd.DataFrame({"id_a": [], "id_b": []})
    summary = summarise_audit(result, none, list_leaks(result, none), PUBLISHED).set_index("finding")
    moved = summary.loc["images in another split than published"]
    changed = result[result["published"] != result["split"]]
    assert moved["count"] == len(changed) > 4
    assert moved["detail"] == (
        "nice train used for validation: 2; real train used for validation: 2; real validation used for test: 4"
    )


def test_an_independent_test_domain_is_tested_whatever_was_published():
    """All images of the domain are tested; one that a component links with them is, too."""
    table = pictures(real=["train", "validation", "test"] * 4, nice=["train"] * 12 + ["validation"] * 4 + ["test"] * 4)
    linked = table.index[table["domain"] == "nice"][0]
    table.loc[linked, ["cluster", "component"]] = table.loc[0, ["cluster", "component"]].to_numpy()
    result = assign_splits(table, Splits(method="published", test_only="real"))
    assert set(result.loc[result["domain"] == "real", "split"]) == {"test"}
    assert result.loc[linked, "split"] == "test"
    nice = result[(result["domain"] == "nice") & (result.index != linked)]
    assert (nice["split"] == nice["published"]).all()


@pytest.mark.parametrize(
    ("names", "split"),
    [
        (["train", "Training", "training_set", "seg_train", "train2017", "Train-Data"], "train"),
        (["val", "valid", "Validation", "dev", "eval", "val2017", "validation set"], "validation"),
        (["test", "TESTING", "test_set", "seg_test", "test_images"], "test"),
        (["trainer", "testament", "apple", "2017", "set", "valley"], ""),
    ],
)
def test_names_of_splits(names, split):
    assert {split_named(name) for name in names} == {split}


BESIDE = {
    "of Kaggle": {"train": "train", "test1": "test"},
    "of versions": {"train_v2": "train", "test_v1": "test", "Val-v3": "validation"},
    "of one set": {"dataset_train": "train", "dataset_test": "test"},
    "of one kind": {"train_cropped": "train", "test_cropped": "test", "Valid_cropped": "validation"},
    "in short": {"trn": "train", "tst": "test"},
    "of a search": {"train": "train", "query": "test", "gallery": "test"},
    "of FER": {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"},
    "of CycleGAN": {"trainA": "train", "testA": "test", "trainB": "train", "testB": "test"},
    "of sizes": {"train256": "train", "val256": "validation"},
    "in capitals": {"TRAIN-jpg": "train", "TEST-jpg": "test"},
    "of DCASE": {"development": "train", "evaluation": "validation"},
    "of VOC": {"trainval": "train", "test": "test"},
    "with numbers before": {"1_train": "train", "2_test": "test"},
    "kept aside": {"train": "train", "holdout": "test"},
}


@pytest.mark.parametrize("name", BESIDE)
def test_names_that_are_splits_beside_each_other(name):
    assert splits_among({*BESIDE[name], "apple"}) == BESIDE[name]
    assert {each: split_meant(each) for each in BESIDE[name]} == BESIDE[name]


@pytest.mark.parametrize(
    "names",
    [
        {"bullet train", "crash test"}, {"train_station", "test_tube"}, {"train", "gallery", "museum"},
        {"query", "gallery"}, {"train", "bus"}, {"test1", "test2"}, {"trainer", "tester"},
        {"evaluation", "holdup"}, {"steam train", "test"},
    ],
)  # fmt: skip
def test_names_that_are_categories_beside_each_other(names):
    assert splits_among(names) == {}
    assert split_meant("train_test") == split_meant("apple") == ""


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        (["apple/train", "apple/test", "pear/train", "pear/test"], True),
        (["apple/train", "pear/train"], False),
        (["apple/train", "apple/test", "pear/red"], False),
        (["apple", "pear"], False),
    ],
)
def test_splits_within_categories_are_recognised(open_published, caplog, folders, said):
    with caplog.at_level(logging.WARNING):
        open_published(dict.fromkeys(folders, 2))
    assert (
        'categories are called test, train. To keep these splits, set layout to "{category}/{split}/**"' in caplog.text
    ) == said
