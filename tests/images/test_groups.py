from __future__ import annotations

import logging
import re
from pathlib import Path

import pandas as pd
import pytest

from mixvision.images.groups import READY_MADE, Groups, group_images, read_groups


def inventory(paths: list[str], camera: list[str] | None = None, taken: list[str] | None = None) -> pd.DataFrame:
    """Images of the category that their folder names; files without a folder are outside the layout."""
    none = [""] * len(paths)
    category = [path.rpartition("/")[0].rpartition("/")[2] for path in paths]
    return pd.DataFrame({"path": paths, "category": category, "camera": camera or none, "taken": taken or none})


def groups_of(given: object, images: pd.DataFrame, root: Path = Path()) -> list[str]:
    return group_images(images, read_groups(given), root, "nice").tolist()


@pytest.mark.parametrize(
    ("path", "fruit", "series"),
    [
        ("Training/Apple Red 1/r2_7_100.jpg", "Apple Red 1/", "Apple Red 1/r2_"),
        ("Test/Apple Red 1/r_12_100.jpg", "Apple Red 1/", "Apple Red 1/r_"),
        ("Apple Red 1/12_100.jpg", "Apple Red 1/", "Apple Red 1/"),
        ("Apple/apple-red-3_r_170_100.jpg", "Apple/apple-red-3", "Apple/apple-red-3_r_"),
        ("Cherry/cherry_12_100.jpg", "Cherry/cherry", "Cherry/cherry_"),
        ("Pear/pear_big_r10_3_100.png", "Pear/pear_big", "Pear/pear_big_r10_"),
        ("Cherry/holiday.jpg", "", ""),
    ],
)
def test_ready_made_groups_of_fruits_360(path, fruit, series):
    images = inventory([path, "Fig/fig_1_100.jpg"])
    assert groups_of("fruits-360", images) == [fruit, "Fig/fig"]
    assert groups_of("fruits-360 series", images) == [series, "Fig/fig_"]


def test_a_pattern_is_searched_in_the_path_and_may_cover_categories(caplog):
    images = inventory(["fig/ann-1.jpg", "plum/ann-2.jpg", "plum/bob-1.jpg", "plum/7.jpg", "note.txt"])
    with caplog.at_level("INFO"):
        found = groups_of({"pattern": r"/(?P<group>[a-z]+)-\d"}, images)
    assert found == ["ann", "ann", "bob", "", ""], "a file outside the layout has no group"
    assert "3 images in 2 groups" in caplog.text and "images without a group: 1, such as plum/7.jpg" in caplog.text
    assert groups_of(None, images) == [""] * 5


def test_a_pattern_matches_accents_however_they_are_stored():
    images = inventory(["fig/Rene\u0301-1.jpg", "fig/Ren\u00e9-2.jpg"])
    assert groups_of({"pattern": r"(?P<group>Ren\u00e9)-"}, images) == ["Ren\u00e9"] * 2


def test_an_optional_part_that_takes_no_part_is_no_group():
    assert groups_of({"pattern": r"fig/(?P<group>[a-z]+)?"}, inventory(["fig/a.jpg", "fig/1.jpg"])) == ["a", ""]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_names_paths_or_file_names(tmp_path, separator):
    lines = [
        "plant,note,name",
        "17,x,fig/a.jpg",
        "17,,b.jpg",
        "18,,./plum\\a.jpg",
        ",,plum/c.jpg",
        "19,,gone.jpg",
        "17",
    ]
    (tmp_path / "plants.csv").write_text("\ufeff" + "\n".join(lines).replace(",", separator), encoding="utf-8")
    images = inventory(["fig/a.jpg", "fig/b.jpg", "plum/a.jpg", "plum/c.jpg", "plum/d.jpg"])
    rule = {"table": "plants.csv", "file": "name", "group": "plant"}
    assert groups_of(rule, images, tmp_path) == ["17", "17", "18", "", ""]


def test_a_table_may_be_in_the_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("plants.csv").write_text("file,group\na.jpg,7\n")
    rule = {"table": "plants.csv", "file": "file", "group": "group"}
    assert groups_of(rule, inventory(["fig/a.jpg"]), tmp_path / "source") == ["7"]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (None, FileNotFoundError, r"looked for .*source.plants\.csv and .*plants\.csv\. Correct group\.table"),
        ("file,plant\na.jpg,7\n", ValueError, r"plants\.csv has no column 'name'; its columns are 'file', 'plant'"),
        ("", ValueError, r"plants\.csv has no column 'name'; its columns are none"),
        ("name,plant\na.jpg,7\na.jpg,8\n", ValueError, "Line 3 .* gives 'a.jpg' the group '8', but .* gives it '7'"),
        ("name,plant\nb.jpg,7\n", ValueError, r"names the file 'b\.jpg', but several .* fig/b\.jpg and plum/b\.jpg"),
        ("name,plant\na.jpg,7, 8\n", ValueError, r"Line 2 of .*plants\.csv is 'a\.jpg,7, 8', with 3 fields, but"),
        ('name,plant\na.jpg,"1\nb.jpg,2\n', ValueError, r"Line 2 of .*plants\.csv has a quotation mark that is not"),
        ("name,plant\nz.jpg,7\n", ValueError, r"finds no group for any of its 3 images, such as fig/a\.jpg"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path, monkeypatch, text, error, message):
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "source"
    root.mkdir()
    if text is not None:
        (root / "plants.csv").write_text(text)
    rule = {"table": "plants.csv", "file": "name", "group": "plant"}
    with pytest.raises(error, match=message):
        groups_of(rule, inventory(["fig/a.jpg", "fig/b.jpg", "plum/b.jpg"]), root)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_a_table_of_any_encoding_whose_other_lines_are_counted(tmp_path, encoding, caplog):
    text = "name,plant\nP\u00eache.jpg,7\nabsent.jpg,8\n"
    (tmp_path / "plants.csv").write_bytes(text.encode(encoding))
    rule = {"table": "plants.csv", "file": "name", "group": "plant"}
    with caplog.at_level(logging.WARNING):
        assert groups_of(rule, inventory(["fig/P\u00eache.jpg"]), tmp_path) == ["7"]
    assert "1 lines of the table of groups fit no image, such as absent.jpg" in caplog.text


def test_exif_groups_by_camera_and_day():
    images = inventory(
        [f"fig/{number}.jpg" for number in range(5)],
        camera=["D90", "D90", "", "D90", "X"],
        taken=["2024-05-01T10:00:00", "2024-05-01T23:59:59", "2024-05-01T10:00:00", "", "2024-05-01T10:00:00"],
    )
    assert groups_of({"exif": ["camera", "day"]}, images) == ["D90 2024-05-01"] * 2 + ["", "", "X 2024-05-01"]
    assert groups_of({"exif": ["day"]}, images) == ["2024-05-01"] * 3 + ["", "2024-05-01"]
    assert groups_of({"exif": "camera"}, images) == ["D90", "D90", "", "D90", "X"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("fruits", "group is 'fruits', but must be one of 'fruits-360', 'fruits-360 series', or a mapping"),
        ([1], "group is [1], but must be a mapping"),
        ({"patern": "x"}, "group has no 'patern': did you mean pattern?"),
        (["x"], "group is ['x'], but must be a mapping"),
        ({}, "group gives nothing, but must give either pattern, or table, file and group together, or exif"),
        ({"pattern": "(?P<group>x)", "exif": ["day"]}, "group gives pattern, exif, but must give either"),
        ({"table": "a.csv", "file": "name"}, "group gives table, file, but must give either"),
        ({"exif": ["day", "lens"]}, "group.exif is ['day', 'lens'], but must be a list of camera and day"),
        ({"pattern": "(?P<group"}, "group.pattern is '(?P<group', but missing >"),
        ({"pattern": "[a-z]+_"}, "group.pattern is '[a-z]+_', but no part of it is called group"),
    ],
)
def test_a_rule_that_cannot_be_used_is_refused(given, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read_groups(given)


def test_rules_are_read_from_names_and_mappings():
    assert read_groups(None) is None
    assert read_groups("fruits-360") == Groups(pattern=READY_MADE["fruits-360"])
    assert read_groups({"table": "a.csv", "file": 7, "group": "b", "pattern": None}) == Groups(
        table="a.csv", file="7", group="b"
    )
