from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest
from timm.data import ImageNetInfo

from mixvision.images.layout import category_of, read_mapping, require_clear_domain, root_of


@pytest.mark.parametrize(
    ("files", "root"),
    [
        (["apple/1", "pear/1"], "."),
        (["top/inner/apple/1", "top/inner/pear/1"], "top/inner"),
        (["top/nice/apple/1", "top/real/apple/1"], "top/nice"),
        (["top/nice/apple/1"], "top/nice"),
        (["readme", "nice/apple/1"], "nice"),
        (["readme", "apple/1"], "."),
        ([".cache/1", "top/apple/1", "top/pear/1"], "top"),
        (["top/Nice/apple/1", "top/Real/apple/1"], "top/Nice"),
        (["Nice/apple/1", "nice/apple/1"], "nice"),
        (["apple/1.png"], "."),
        (["apple/1.JPG", "apple/closer/1.JPG"], "."),
        (["top/apple/1.png"], "top"),
        (["top/logo.png", "top/apple/1.png", "top/pear/1.png"], "top"),
        (["top/logo.png", "top/nice/apple/1.png"], "top/nice"),
        (["top/README.md", "top/apple/1.png"], "top"),
        (["nice/1.png", "fake/1.png"], "."),
        (["top/nice/1.png", "top/fake/1.png"], "top"),
        (["nice/apple/1.png", "real/apple/1.png", "masks/apple/1.png"], "."),
        (["nice/apple/1.png", "real/apple/1.png", "docs/index.html"], "nice"),
        (["nice/apple/1.png", "@eaDir/apple/1.png", "lost+found/2.png", "System Volume Information/3.png"], "nice"),
    ],
)
def test_root(files, root):
    assert root_of([PurePosixPath(name) for name in files], "nice") == PurePosixPath(root)


@pytest.mark.parametrize(
    ("files", "clear"),
    [
        (["nice/1.png", "fake/1.png"], True),  # both are categories
        (["nice/apple/1.png", "real/apple/1.png"], True),
        (["nice/apple/1.png", "fake/apple/1.png"], False),
        (["nice/apple/1.png", "real/apple/1.png", "masks/apple/1.png"], False),
        (["nice/apple/1.png", "docs/index.html"], True),
    ],
)
def test_a_folder_named_after_the_domain_beside_others(files, clear):
    paths = [PurePosixPath(name) for name in files]
    if clear:
        require_clear_domain(paths, root_of(paths, "nice"), "nice")
        return
    with pytest.raises(ValueError, match=r"'nice' beside (fake|masks)\. .*nice/{category}/\*\*. .*\"{category}/"):
        require_clear_domain(paths, root_of(paths, "nice"), "nice")


def test_wrong_mappings_are_refused_with_folder_and_file(tmp_path):
    with pytest.raises(ValueError, match=r"'Grapefruit'.*Grape and Grapefruit"):
        category_of("Grapefruit", {"Grape": ["Grape*"], "Grapefruit": ["Grapefruit*"]})
    assert category_of("apple", {"Apple": ["Apple*"]}) is None
    with pytest.raises(FileNotFoundError, match=r"absent\.yml"):
        read_mapping(tmp_path / "absent.yml")
    (tmp_path / "list.yml").write_text("- Apple\n")
    with pytest.raises(ValueError, match=r"list\.yml must hold lines of the form `category: \["):
        read_mapping(tmp_path / "list.yml")
    for line in ("pear:", '"1": [1]', "pear: {a: b}"):
        (tmp_path / "wrong.yml").write_text(line)
        with pytest.raises(ValueError, match=r"wrong\.yml gives '(pear|1)' the patterns .* must be text"):
            read_mapping(tmp_path / "wrong.yml")


@pytest.mark.parametrize(
    ("folder", "category"),
    [
        ("Apple Red 1", "Apple"), ("Pineapple Mini", "Pineapple"), ("Cocos", "Coco"), ("Litchi", "Lychee"),
        ("Carambula", "Carambola"), ("Dates", "Date"), ("Grapefruit Pink", "Grapefruit"), ("Grape White 2", "Grape"),
        ("Pear Abate", "Pear"), ("Cherry Wax Black", "Cherry"), ("Passion Fruit", "Passion Fruit"), ("Quince", None),
        ("Tomato Cherry Red", None), ("Cherimoya", None),
    ],
)  # fmt: skip
def test_mapping_of_the_fruits_study(folder, category):
    mapping = read_mapping(Path(__file__).parents[2] / "conf" / "fruits" / "varieties.yml")
    assert len(mapping) == 26
    assert category_of(folder, mapping) == category
    assert all(category_of(name, mapping) == name for name in mapping)


def test_mapping_of_the_dogs_study():
    """Stanford's folders, WordNet ids, and ImageNet's indices, by the order of classes that timm knows."""
    mapping = read_mapping(Path(__file__).parents[2] / "conf" / "dogs" / "breeds.yml")
    assert len(mapping) == 120
    imagenet = ImageNetInfo()
    indices = [*range(151, 251), *range(252, 269), 273, 274, 275]
    found = {}
    for index in range(1000):
        wordnet_id = imagenet.index_to_label_name(index)
        names = (str(index), wordnet_id, f"{index:03d}_{wordnet_id}", f"{wordnet_id}-Some_breed")
        (category,) = {category_of(name, mapping) for name in names}
        if category:
            found[index] = category
            assert category.startswith(f"{wordnet_id}-") and category_of(category, mapping) == category
    assert list(found) == indices and set(found.values()) == set(mapping)
