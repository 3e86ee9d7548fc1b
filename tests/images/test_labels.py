"""Label files of every form and encoding: the test writes the file and the images, and compares the categories."""

from __future__ import annotations

import json
import logging
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from mixvision.images.sources import RawImages, open_source


def labelled(images: RawImages) -> dict[str, str]:
    return {Path(path).name: category for category, path in images.files if category and path not in images.refused}


EXPECTED = {"1.png": "apple", "2.png": "pear", "3.png": "red apple"}
TABLES = {
    "tabs": "1.png\tapple\n2.png\tpear\t0\t0\n3.png\tred apple\n",
    "comma and heading": "file,label\n1.png,apple\n2.png,pear\n3.png,red apple\n",
    "columns in another order": "label,width,filename\napple,8,1.png\npear,8,2.png\nred apple,8,3.png\n",
    "no heading": "1.png,apple\n2.png,pear\n3.png,red apple\n",
    "an unknown heading": "photo no,kind\n1.png,apple\n2.png,pear\n3.png,red apple\n",
    "semicolons": "file;category\n1.png;apple\n2.png;pear\n3.png;red apple\n",
    "quotes": '"file","label"\n"1.png","apple"\n"2.png","pear"\n"3.png","red apple"\n',
    "blanks after commas": "file, label\n1.png, apple\n2.png, pear\n3.png, red apple\n",
    "paths": "file,label\nimages/1.png,apple\n./images/2.png,pear\nimages\\3.png,red apple\n",
    "paths from elsewhere": "file,label\n/home/me/images/1.png,apple\ndata/images/2.png,pear\nx/3.png,red apple\n",
    "upper case": "FILE,LABEL\n1.PNG,apple\n2.Png,pear\nIMAGES/3.PNG,red apple\n",
    "no suffixes": "id,breed\n1,apple\n2,pear\n3,red apple\n",
    "another suffix": "file,label\n1.jpg,apple\n2.jpg,pear\n3.tif,red apple\n",
    "empty lines and a carriage return": "file,label\r\n\r\n1.png,apple\r\n2.png,pear\r\n3.png,red apple\r\n\r\n",
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("name", TABLES)
def test_tables_of_every_form(read, name, encoding):
    assert labelled(read("labels.csv", TABLES[name].encode(encoding))) == EXPECTED


def test_blanks_in_names_without_tabs(read, shots):
    for name in ("a red one.png", "b.png"):
        Image.new("L", (8, 8), 9).save(shots / "images" / name)
    images = read("labels.txt", 'a red one.png apple\nb.png   pear\n"1.png" plum\n2.png\tfig  \n')
    assert labelled(images) == {"a red one.png": "apple", "b.png": "pear", "1.png": "plum", "2.png": "fig"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1.png golden retriever\n2.png pug\n", r"Line 1 of the labels .*several words.*separate the columns by tabs"),
        ("image,MEL,NV\n1,0.0,1.0\n2,1.0,0.0\n", r"columns 'image', 'MEL', 'NV', and none is known"),
        ("file_name,text,more\n1.png,a dog,x\n", r"columns 'file_name', 'text', 'more', and none is known"),
        (
            'file,label\n1.png,"' + "x" * 200_000 + '"\n2.png,a\n',
            r"Line 2 of the labels .*labels\.csv has a field of over 131072 characters",
        ),
    ],
)
def test_unclear_tables_are_refused(read, content, message):
    with pytest.raises(ValueError, match=message):
        read("labels.csv", content)


@pytest.mark.parametrize(
    "content",
    [
        "id_code,diagnosis\n1,apple\n2,pear\n",
        "ImageID,Label\n1,apple\n2,pear\n",
        "image,what it shows\n1,apple\n2,pear\n",
        "file,label\r1.png,apple\r2.png,pear\r",
    ],
)
def test_headings_vary(read, content):
    assert labelled(read("labels.csv", content)) == {"1.png": "apple", "2.png": "pear"}


def test_a_semicolon_within_labels_between_commas(read):
    assert labelled(read("labels.csv", "file,label\n1.png,x;y\n2.png,z\n")) == {"1.png": "x;y", "2.png": "z"}


def test_labels_above_the_only_folder(tmp_path):
    """The images' root is the folder train, to which the only folders lead."""
    (tmp_path / "shots" / "train" / "images").mkdir(parents=True)
    for number in (1, 2):
        Image.new("L", (8, 8), number).save(tmp_path / "shots" / "train" / "images" / f"{number}.png")
    (tmp_path / "shots" / "train" / "metadata.csv").write_text(
        "file_name,label\nimages/1.png,apple\nimages/2.png,pear\n"
    )
    raw = tmp_path / "data" / "study" / "nice"
    images = open_source(str(tmp_path / "shots"), "nice", raw, labels="train/metadata.csv")
    assert labelled(images) == {"1.png": "apple", "2.png": "pear"}


def test_one_name_in_the_tables_of_two_folders(read, shots):
    (shots / "metadata.csv").write_text("file_name,label\nimages/1.png,apple\n")
    (shots / "p").mkdir()
    shutil.copy(shots / "images" / "2.png", shots / "p" / "1.png")
    images = read("p/metadata.csv", "file_name,label\n1.png,pear\n", labels="**/metadata.csv")
    assert {path: category for category, path in images.files if category} == {
        "images/1.png": "apple",
        "p/1.png": "pear",
    }


def test_nested_json_is_no_category(read):
    with pytest.raises(ValueError, match=r"give '1\.png' {\"label\": \"apple\"}, but must give a category"):
        read("labels.json", '{"1.png": {"label": "apple"}}')


def test_latin_1_keeps_categories_apart(read, caplog):
    content = "1.png\tP\xeache\n2.png\tP\xe8che\n3.png\tP\u0153che\n".encode("cp1252")
    with caplog.at_level(logging.WARNING):
        assert labelled(read("labels.txt", content)) == {"1.png": "Pêche", "2.png": "Pèche", "3.png": "Pœche"}
    assert "is not UTF-8: read as Windows-1252" in caplog.text


def test_categories_that_pandas_would_take_for_missing(read):
    assert labelled(read("labels.csv", "file,label\n1.png,NA\n2.png,None\n3.png,007\n")) == {
        "1.png": "NA", "2.png": "None", "3.png": "007"
    }  # fmt: skip


def test_columns_can_be_named(read):
    content = "id,photo,kind,label\n7,1.png,apple,x\n8,2.png,pear,y\n"
    table = {"table": "labels.csv", "file": "photo", "label": "kind"}
    assert labelled(read("labels.csv", content, labels=table)) == {"1.png": "apple", "2.png": "pear"}
    with pytest.raises(ValueError, match=r"labels\.csv have no column 'sort'; their columns are 'id', 'photo', 'kind'"):
        read(labels=table | {"label": "sort"})
    with pytest.raises(ValueError, match="labels is {'table': 'a'}, but must be the path of the label file"):
        read(labels={"table": "a"})


def test_a_column_of_splits_is_a_published_split(read, caplog):
    content = "file,label,split\n1.png,apple,train\n2.png,pear,val\n3.png,pear,Test\n"
    published = {"images/1.png": "train", "images/2.png": "validation", "images/3.png": "test"}
    assert read("labels.csv", content).published == published
    with caplog.at_level(logging.WARNING):
        assert read("labels.csv", content.replace("val", "")).published == {}
    assert "name splits, but not of every image" in caplog.text


def test_labels_without_a_file_are_counted(read, caplog):
    with caplog.at_level(logging.WARNING):
        images = read("labels.csv", "file,label\n1.png,apple\nlost.png,apple\nimages/gone.png,pear\n")
    assert images.refused == dict.fromkeys(
        ("lost.png", "images/gone.png"), "unreadable file: in the labels, but not in the source"
    )
    assert labelled(images) == {"1.png": "apple"} and ("pear", "images/gone.png") in images.files
    assert "2 labels have no file in the source, such as images/gone.png, lost.png" in caplog.text


def test_files_outside_the_layout_are_not_missing(read, shots):
    (shots / "other").mkdir()
    Image.new("L", (8, 8), 9).save(shots / "other" / "5.png")
    images = read("labels.csv", "file,label\n1.png,apple\nother/5.png,pear\n", layout="images/*")
    assert labelled(images) == {"1.png": "apple"} and not images.refused


def test_lines_that_do_not_fit_are_named(read, shots):
    message = re.escape(
        f"Line 3 of the labels {shots / 'labels.csv'} is '2.png,', but must be: file name, tab, category "
        "(3 lines do not fit, also 5, 6)."
    )
    with pytest.raises(ValueError, match=message):
        read("labels.csv", "file,label\n1.png,apple\n2.png,\n3.png,pear\n,pear\n4.png\n")


def test_one_name_in_two_folders_needs_paths(read, shots):
    (shots / "more").mkdir()
    Image.new("L", (8, 8), 9).save(shots / "more" / "1.png")
    with pytest.raises(ValueError, match=r"file '1\.png', but several files fit, such as images/1\.png and more"):
        read("labels.csv", "file,label\n1.png,apple\n2.png,pear\n")
    images = read("labels.csv", "file,label\nimages/1.png,apple\nmore/1.png,pear\n")
    assert [(category, path) for category, path in images.files if category] == [
        ("apple", "images/1.png"),
        ("pear", "more/1.png"),
    ]


def coco(*pairs: tuple[int, int]) -> str:
    return json.dumps(
        {
            "images": [{"id": number, "file_name": f"{number}.png"} for number in range(1, 5)],
            "annotations": [{"image_id": image, "category_id": category} for image, category in pairs],
            "categories": [{"id": 1, "name": "apple"}, {"id": 2, "name": "pear"}],
        }
    )


def test_coco(read):
    images = read("annotations.json", coco((1, 1), (1, 1), (2, 2), (3, 1), (3, 2)))
    assert labelled(images) == {"1.png": "apple", "2.png": "pear"}
    assert images.refused == {"images/3.png": "several categories: apple, pear"}
    with pytest.raises(ValueError, match="look like COCO, but an entry lacks or misstates 7"):
        read("annotations.json", coco((7, 1)))


@pytest.mark.parametrize(
    "content",
    [
        '{"1.png": "apple", "2.png": "pear", "3.png": "red apple"}',
        '[{"image": "1.png", "class": "apple"}, {"image": "2.png", "class": "pear"}, '
        '{"image": "3.png", "class": "red apple"}]',
    ],
)
def test_other_json(read, content):
    assert labelled(read("labels.json", content)) == EXPECTED
    with pytest.raises(ValueError, match=r"labels\.json are not JSON: "):
        read("labels.json", content[:-1])


@pytest.mark.parametrize(
    ("name", "content", "key"),
    [
        ("labels.json", '{"1.png": "cat", "2.png": "dog", "1.png": "dog"}', "1.png"),
        ("labels.json", '[{"file": "1.png", "label": "cat", "label": "dog"}]', "label"),
        ("labels.jsonl", '{"file": "1.png", "label": "cat", "label": "dog"}', "label"),
    ],
)
def test_a_key_with_two_values_in_json_is_refused(read, name, content, key):
    with pytest.raises(
        ValueError, match=f'labels.* have \'{key}\' twice in one object, with "cat" and with "dog": keep'
    ):
        read(name, content)
    assert set(labelled(read(name, content.replace('"dog"', '"cat"'))).values()) == {"cat"}


VOC = "<annotation><filename>photo of old {}.png</filename>{}</annotation>"
OBJECT = "<object><name>{}</name></object>"


def test_voc_annotations(read, shots):
    contents = {1: ["apple", "apple"], 2: ["pear"], 3: ["apple", "pear"], 4: []}
    for number, names in contents.items():
        read(f"Annotations/{number}.xml", VOC.format(number, "".join(map(OBJECT.format, names))), labels=None,
             layout="{category}/*")  # fmt: skip
    images = read(labels="Annotations", layout="images/*")
    assert labelled(images) == {"1.png": "apple", "2.png": "pear"}
    assert images.refused == {"images/3.png": "several categories: apple, pear"}
    (shots / "Annotations" / "1.xml").write_text("<annotation>")
    with pytest.raises(ValueError, match=r"1\.xml are no XML file: no element found"):
        read(labels="Annotations", layout="images/*")


@pytest.mark.parametrize("labels", ["xml", "xml/**/*.xml", "xml/*"])
def test_voc_annotations_in_folders_as_the_images_are(read, shots, labels):
    for number, name in ((1, "cat"), (2, "dog")):
        (shots / name).mkdir()
        shutil.copy(shots / "images" / f"{number}.png", shots / name / "1.png")
        read(f"xml/{name}/1.xml", VOC.format(1, OBJECT.format(name)), labels=None, layout="{category}/*")
    images = read(labels=labels)
    assert [pair for pair in images.files if pair[0]] == [("cat", "cat/1.png"), ("dog", "dog/1.png")]


@pytest.mark.parametrize(
    ("stem", "filename"), [("a", "x.y"), ("2020.05.01", "2020.05.01"), ("a.png", "a.png"), ("a", "../old.1/a")]
)
def test_voc_names_have_other_dots(read, shots, stem, filename):
    Image.new("L", (8, 8), 9).save(shots / "images" / f"{stem.removesuffix('.png')}.png")
    content = VOC.replace("photo of old {}.png", filename)
    assert read(f"xml/{stem}.xml", content.format(OBJECT.format("cat")), labels="xml").refused == {}


LITTER = {"xml": "._1.xml", "Main": "._cat_train.txt", "*.csv": "._labels.csv", "**/labels.csv": "@eaDir/labels.csv"}


@pytest.mark.parametrize("labels", LITTER)
def test_litter_beside_labels_is_ignored(read, shots, labels):
    folder = shots / labels if "*" not in labels else shots
    folder.mkdir(exist_ok=True)
    (folder / LITTER[labels]).parent.mkdir(exist_ok=True)
    (folder / LITTER[labels]).write_bytes(b"\0\5\x16\7\0\2")
    (folder / "1.xml").write_text(VOC.format(1, OBJECT.format("cat")))
    if labels != "xml":
        (folder / "1.xml").unlink()
    (folder / "cat_train.txt").write_text("1  1\n")
    (folder / "labels.csv").write_text("file,label\n1.png,cat\n")
    assert labelled(read(labels=labels)) == {"1.png": "cat"}


def test_folders_without_labels_are_described(read, shots):
    (shots / "more").mkdir()
    with pytest.raises(FileNotFoundError, match=r"more holds no labels .*: looked for XML .*, and found nothing\."):
        read(labels="more")
    message = r"found 'a\.csv', 'b\.csv', 'c\.csv' and 1 more\. .* by a pattern such as more/\*\.csv"
    with pytest.raises(FileNotFoundError, match=message):
        for name in "dabc":
            read(f"more/{name}.csv", "1.png,cat\n", labels="more" if name == "c" else f"more/{name}.csv")
    with pytest.raises(
        ValueError, match=r"boxes/1_2\.txt have lines such as '0 0\.5 0\.5 1 1': a number and a box, as"
    ):
        read("boxes/1_2.txt", "0 0.5 0.5 1 1\n", labels="boxes")
    with pytest.raises(ValueError, match=r"xml/1\.xml are no XML file: .*encoding"):
        read("xml/1.xml", b'<?xml version="1.0" encoding="gb2312"?><annotation/>', labels="xml")


def test_voc_lists(read, shots):
    folder = shots / "ImageSets" / "Main"
    folder.mkdir(parents=True)
    (folder / "train.txt").write_text("1\n2\n3\n")
    (folder / "apple_train.txt").write_text("1\t1\n2 -1\n3  1\n")
    (folder / "pear_train.txt").write_text("1 -1\n2  1\n3  0\n")
    (folder / "apple_trainval.txt").write_text("1\t1\n2\t-1\n3\t1\n\n")
    images = read(labels="ImageSets/Main")
    assert labelled(images) == {"1.png": "apple", "2.png": "pear", "3.png": "apple"}


def test_hugging_face_folders(read, shots):
    for split in ("train", "test"):
        (shots / split).mkdir()
        for number in range(1, 5):
            (shots / "images" / f"{number}.png").copy(shots / split / f"{number}.png") if hasattr(Path, "copy") else (
                shots / split / f"{number}.png"
            ).write_bytes((shots / "images" / f"{number}.png").read_bytes())
    (shots / "train" / "metadata.csv").write_text("file_name,label\n1.png,apple\n2.png,pear\n")
    images = read("test/metadata.csv", "file_name,label\n1.png,pear\n", labels="**/metadata.csv")
    assert [(category, path) for category, path in images.files if category] == [
        ("pear", "test/1.png"),
        ("apple", "train/1.png"),
        ("pear", "train/2.png"),
    ]
    lines = '{"file_name": "1.png", "label": 3}\n{"file_name": "2.png", "label": 4}\n'
    images = read("train/metadata.jsonl", lines, labels="train/metadata.jsonl", layout="train/*")
    assert labelled(images) == {"1.png": "3", "2.png": "4"}
