"""Published numbers are checked as they are read: every shipped file passes, every mistake is named."""

from __future__ import annotations

import pytest

from mixvision.reporting.published import Published, PublishedMixing, read_published

BASE = {"batch_size": 8, "learning_rate": "1e-4", "dropout": True, "augmentation": "expand"}
ROW = {"model": "cnn", "validation": 0.5}
SECTIONS = {
    "mixing": {"source": "Table 2", "rows": [{"ratio": 0, "nice_top1": 0.9}]},
    "iterative": {"source": "Section 5"},
    "tuning": {"source": "Section 4", "learning_rate": 0.004, "l2": 0.5},
    "baselines": {"source": "Table 1", "base": BASE, "rows": [ROW]},
    "transfer": {"source": "Table 5", "rows": [ROW | {"held_out_from": 0.4}]},
}


@pytest.mark.parametrize("study", ["base", "berries", "dogs", "flowers", "fruits", "tiny_imagenet"])
def test_every_file_of_the_project_can_be_read(pytestconfig, study):
    published = read_published(pytestconfig.rootpath / "conf" / study / "published.yml")
    assert (published == Published()) == (study == "base")


def test_a_section_that_is_absent_or_empty_is_none():
    published = Published.from_mapping({"mixing": SECTIONS["mixing"], "tuning": None})
    assert published.mixing == PublishedMixing("Table 2", rows=SECTIONS["mixing"]["rows"])
    assert (published.iterative, published.tuning, published.baselines, published.transfer) == (None,) * 4


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_can_be_given_and_needs_its_source(section):
    assert getattr(Published.from_mapping(SECTIONS), section).origin.endswith(".")
    nowhere = {name: value for name, value in SECTIONS[section].items() if name != "source"}
    with pytest.raises(ValueError, match=f"^{section} has .*; it needs source"):
        Published.from_mapping({section: nowhere})


@pytest.mark.parametrize(
    ("section", "change", "sentence"),
    [
        ("mixing", {"source": ""}, "mixing.source is ''; say where"),
        ("mixing", {"note": 3}, "mixing.note is 3; give some text"),
        ("mixing", {"row": []}, r"mixing has \[.*'row'\]; it needs source and may have note, rows"),
        ("mixing", {"rows": []}, r"mixing.rows is \[\]; give a list"),
        ("mixing", {"rows": [{"nice_top1": 0.5}]}, r"rows\[0\] has .*; it needs ratio"),
        ("mixing", {"rows": [{"ratio": 0, "nice": 0.5}]}, r"rows\[0\] has .*may have nice_top1, real_top1"),
        (
            "mixing",
            {"rows": [{"ratio": 0}, {"ratio": 10, "nice_top1": 96.5}]},
            r"rows\[1\].nice_top1 is 96.5; .* 0 to 1",
        ),
        ("mixing", {"rows": [{"ratio": 101}]}, "ratio is 101; give a share from 0 to 100"),
        ("mixing", {"rows": [{"ratio": 0}, {"ratio": 0}]}, r"rows have the ratios \[0, 0\]; give each ratio once"),
        ("iterative", {"highest_performance": "45%"}, "highest_performance is '45%'; give a fraction"),
        ("tuning", {"l2": None}, "tuning.l2 is None; give a number"),
        ("baselines", {"base": None}, "base is None; .*needs batch_size, learning_rate, dropout, aug"),
        ("baselines", {"base": {"batch_size": 8}}, "needs batch_size, learning_rate, dropout, aug"),
        ("baselines", {"base": BASE | {"momentum": 0}}, "momentum.*needs batch_size, learning_rate, dropout, aug"),
        ("baselines", {"base": BASE | {"dropout": "no"}}, "dropout is 'no'; give true or false"),
        ("baselines", {"rows": [{"validation": 0.5}]}, "it needs model"),
        ("baselines", {"rows": [ROW | {"batchsize": 64}]}, "batchsize.*may have batch_size"),
        ("baselines", {"rows": [ROW | {"learning_rate": "fast"}]}, r"rows\[0\].learning_rate is 'fast'; give a number"),
        ("baselines", {"image_size": 0}, "image_size is 0; give a whole number"),
        ("transfer", {"rows": [{"method": "as is"}]}, "it needs model and may have columns of any name"),
        ("transfer", {"rows": [ROW | {"test": "high"}]}, "test is 'high'; give a fraction"),
        ("transfer", {"images": "many"}, "images is 'many'; give a whole number"),
    ],
)
def test_every_mistake_is_named_with_what_is_allowed(section, change, sentence):
    with pytest.raises(ValueError, match=sentence):
        Published.from_mapping({section: SECTIONS[section] | change})


@pytest.mark.parametrize("text", ["transfr: {source: a}", "- mixing", "mixing: [1", "mixing"])
def test_a_file_that_cannot_be_used_is_named(tmp_path, text):
    (tmp_path / "published.yml").write_text(text)
    with pytest.raises(ValueError, match=r"published.yml cannot be used\. "):
        read_published(tmp_path / "published.yml")
    with pytest.raises(OSError, match="nowhere"):
        read_published(tmp_path / "nowhere.yml")
