"""Which column of a label file says what: found rightly, or asked for, and never cut or mixed up in silence."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from mixvision.images.names import tidied
from mixvision.images.sources import RawImages


def labelled(images: RawImages) -> dict[str, str]:
    return {Path(path).name: category for category, path in images.files if category}


PAIRS = {"1.png": "a", "2.png": "b", "3.png": "a", "4.png": "b"}
SPLITS = ["train", "train", "valid", "Test"]
PUBLISHED = {
    f"images/{number}.png": split for number, split in enumerate(["train", "train", "validation", "test"], start=1)
}


def lines(heading: str, form: str, splits: list[str] = SPLITS) -> str:
    """A line for each file: `form` has {file}, {label}, {split} and {number}."""
    rows = zip(PAIRS.items(), splits, range(1, 5), strict=True)
    return heading + "".join(form.format(file=f, label=c, split=s, number=n) + "\n" for (f, c), s, n in rows)


@pytest.mark.parametrize(
    "form",
    ["{file} big {label}", "{file} Boeing 70{number}", "{file} 1 0", "{number} big {label}", '"{file}" big {label}'],
)
def test_several_words_after_a_blank_are_refused(read, form):
    with pytest.raises(ValueError, match=r"Line 1 of the labels .*several words after the file's name.*tabs or commas"):
        read("labels.txt", lines("", form))


@pytest.mark.parametrize(
    ("heading", "form"),
    [
        ("", "{file} {label}"),
        ("", "{file}   {label}  "),
        ("", '{file} "{label}"'),
        ("", "{file} {label} {split}"),
        ("file label width height\n", "{file} {label} 8 8"),
        ("", "images/{file}\t{label}\t0\t0"),
        ("", "{label},{file}"),
        ("", "{label} {file}"),
        ("", "{split},{label},{file}"),
        ("kind,where it is\n", "{label},{file}"),
        (",file,label\n", "{number},{file},{label}"),
        ("sep=;\nphoto;what it shows\n", "{file};{label}"),
        ("class id,filepaths,labels,data set\n", "0,images/{file},{label},{split}"),
        ("name,depicts,category\n", "photo {number},{file},{label}"),
        ("link,label\n", "https://example.org/data/images/{file}?size=8#top,{label}"),
        ("url\tlabel\n", "gs://bucket/%69mages/{file}\t{label}"),
        ("file,label,caption\n", '{file},{label},"two\nlines, of text"'),
    ],
)
def test_columns_are_found(read, heading, form):
    assert labelled(read("labels.csv", lines(heading, form))) == PAIRS


@pytest.mark.parametrize(("present", "absent"), [("1", "-1"), ("1", "0")])
def test_lists_of_signs_have_two_categories(read, present, absent):
    content = f"1 {present}\n2  {absent}\n3  {present}\n"
    assert labelled(read("list.txt", content)) == {"1.png": present, "2.png": absent, "3.png": present}


@pytest.mark.parametrize(
    ("heading", "form", "message"),
    [
        ("", "{number},{file},{label}", "have 3 columns without a heading, and the files are in column 2: add a head"),
        ("class id,pictures here,kind,more\n", "0,{file},{label},x", "none is known as that of the categories"),
        ("code,label,more\n", "{number},{label},x", "none is known as that of the files: name both in globals.yml"),
        (
            "My pictures\nphoto,what it shows\n",
            "{file},{label}",
            "Line 1 of the labels .* is 'My pictures', but must be",
        ),
        ("", "{file},mask_{file}", r"would give categories such as 'mask_1\.png': name both in globals\.yml"),
        ("", "x, {label},{number}", r"gives 'x' the category 'b', but .* keep one\. If the columns mean something"),
    ],
)
def test_unclear_columns_are_asked_for(read, heading, form, message):
    with pytest.raises(ValueError, match=message):
        read("labels.csv", lines(heading, form))


@pytest.mark.parametrize(
    ("heading", "form"),
    [
        ("", "{file},{label},{split}"),
        ("", "{file},{label},8,{split}"),
        ("", "{file} {label} {split}"),
        *((f"file,label,{name}\n", "{file},{label},{split}") for name in ("split", "dataset", "data set", "x")),
        ("split,file,label\n", "{split},{file},{label}"),
    ],
)
def test_published_splits_are_used_whatever_their_column_is_called(read, heading, form):
    images = read("labels.csv", lines(heading, form))
    assert images.published == PUBLISHED and labelled(images) == PAIRS


@pytest.mark.parametrize("key", ["split", "data set"])
def test_published_splits_of_json(read, key):
    rows = [
        {"file": name, "label": label, key: split} for (name, label), split in zip(PAIRS.items(), SPLITS, strict=True)
    ]
    assert read("labels.jsonl", "\n".join(map(json.dumps, rows))).published == PUBLISHED


def test_published_splits_of_voc_lists(read, shots):
    (shots / "Main").mkdir()
    contents = {"a_train": "1  1\n", "a_val": "3  1\n", "b_trainval": "2  1\n", "b_test": "4  1\n2 1\n"}
    for name, content in contents.items():
        (shots / "Main" / f"{name}.txt").write_text(content)
    assert read(labels="Main").published == {
        "images/1.png": "train", "images/2.png": "test", "images/3.png": "validation", "images/4.png": "test"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("heading", "splits", "said"),
    [
        ("file,label,split\n", ["tr", "tr", "te", "te"], "images/1.png has the split 'tr'"),
        ("file,label,fold\n", ["1", "2", "3", "4"], "images/1.png has the split '1'"),
        ("file,label,x\n", ["train", "train", "train", "unlabelled"], "images/4.png has the split 'unlabelled'"),
        ("file,label,split\n", ["train", "train", "test", ""], "images/4.png has none"),
    ],
)
def test_splits_that_are_not_used_are_named(read, caplog, heading, splits, said):
    with caplog.at_level(logging.WARNING):
        assert read("labels.csv", lines(heading, "{file},{label},{split}", splits)).published == {}
    assert said in caplog.text


def test_two_splits_of_one_file_are_refused(read):
    with pytest.raises(ValueError, match=r"Line 3 .* puts '1\.png' into the split 'test', but an earlier line into"):
        read("labels.csv", "file,label,split\n1.png,a,train\n1.png,a,test\n2.png,b,train\n")


@pytest.mark.parametrize("value", ["null", "NaN", "Infinity", '" "', "[]"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.json", '{{"1.png": {}, "2.png": "b"}}'),
        ("labels.json", '[{{"file": "1.png", "label": {}}}, {{"file": "2.png", "label": "b"}}]'),
        ("labels.jsonl", '{{"file": "1.png", "label": {}}}\n{{"file": "2.png", "label": "b"}}'),
        (
            "labels.json",
            '{{"images": [{{"id": 1, "file_name": "1.png"}}], "categories": [{{"id": 1, "name": {}}}], '
            '"annotations": [{{"image_id": 1, "category_id": 1}}]}}',
        ),
    ],
)
def test_what_is_no_category_in_json_is_refused(read, name, content, value):
    with pytest.raises(ValueError, match="(must give a category|must name a file and a label|misstates 'name')"):
        read(name, content.format(value))


def test_blanks_within_categories_are_one_blank(read, caplog):
    content = "file,label\n1.png,big cat\n2.png,big\xa0cat\n3.png,big \u2009 cat\n4.png,\ufeffbig\u200b cat \n"
    with caplog.at_level(logging.WARNING):
        assert set(labelled(read("labels.csv", content)).values()) == {"big cat"}
    assert "3 names of categories have unusual blanks or invisible characters, such as" in caplog.text


@pytest.mark.parametrize("sign", "\xad\u061c\u200b\u200c\u200d\u200e\u200f\u202a\u2060\u2066\ufeff")
def test_invisible_characters_in_labels_do_not_count(read, sign):
    content = f"{sign}file,label{sign}\n{sign}1.png,cat\n2{sign}.png,c{sign}at\n3.png,cat{sign}\n4.png,{sign} dog\n"
    assert labelled(read("labels.csv", content)) == {"1.png": "cat", "2.png": "cat", "3.png": "cat", "4.png": "dog"}


@pytest.mark.parametrize(
    "name", ["\u0633\u06cc\u0628\u200c\u0632\u0645\u06cc\u0646\u06cc", "\U0001f469\u200d\U0001f33e"]
)
def test_joiners_that_have_a_meaning_stay(name):
    assert tidied(f"{name}\u200c ") == name


@pytest.mark.parametrize(
    ("content", "number"),
    [
        ("file,label\n1.png,dog\n2.png,cat, big\n", 3),
        ("file,label\na, 1.png,dog\n2.png,cat\n", 2),
        ("file;label\n1.png;cat; big\n2.png;dog\n", 2),
        ("file\tlabel\n1.png\tcat\tbig\n2.png\tdog\n", 2),
        ("1.png,dog\n2.png,cat, big\n", 2),
        ("1.png,cat, big\n2.png,dog\n", 1),
    ],
)
def test_a_separator_within_a_name_is_named(read, content, number):
    with pytest.raises(ValueError, match=rf"Line {number} of the labels .* 3 fields, but others have 2: put a name"):
        read("labels.csv", content)


@pytest.mark.parametrize("content", ["file,label\n1.png,cat,,\n2.png,dog\n", "1.png,cat,\n2.png,dog\n"])
def test_empty_fields_at_the_end_do_not_count(read, content):
    assert labelled(read("labels.csv", content)) == {"1.png": "cat", "2.png": "dog"}


def test_labels_that_fit_no_file_are_shown_beside_one(read):
    with pytest.raises(ValueError, match=r"in labels\.csv \(which names files such as 'x7', and the source has .*png'"):
        read("labels.csv", "file,label\nx7,a\nx8,b\n")


def test_a_workbook_and_a_long_field_are_named(read):
    with pytest.raises(ValueError, match="is an Excel workbook or another zip file, not a text: save it as CSV"):
        read("labels.xlsx", b"PK\x03\x04" + bytes(200))
    for form in ("{file},{label}", "{file}\t{label}", "{file} {label}"):
        content = lines("", form) + form.format(file="5.png", label="a" * 200_000)
        with pytest.raises(ValueError, match="Line 5 of the labels .* has a field of over 131072 characters"):
            read("labels.csv", content + "\n")


def test_an_unclosed_quotation_mark_in_the_middle_is_named(read):
    rows = [f"{number}.png,dog\n" for number in range(40)]
    rows[20] = '20.png,"dog\n'
    with pytest.raises(ValueError, match=r"Line 22 of the labels .* has a quotation mark that is not closed"):
        read("labels.csv", "file,label\n" + "".join(rows))
