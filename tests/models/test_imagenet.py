"""Which categories are ImageNet classes, by WordNet number and by name, and which are not."""

from __future__ import annotations

import pytest

from mixvision.models.imagenet import CLASSES, class_names, imagenet_classes


def test_there_are_a_thousand_names_and_151_is_the_chihuahua():
    names = class_names()
    assert len(names) == len(set(names)) == CLASSES == 1000
    assert (
        names[0] == "n01440764 tench" and names[151] == "n02085620 Chihuahua" and names[999].endswith("toilet tissue")
    )


@pytest.mark.parametrize(
    ("category", "number"),
    [
        ("n02085620", 151),
        ("n02085620-Chihuahua", 151),
        ("n02085620-wrongly named", 151),  # the number takes precedence
        ("151_n02085620", 151),
        ("Chihuahua", 151),
        ("chihuahua", 151),
        ("golden retriever", 207),
        ("Golden_Retriever", 207),
        ("GOLDEN-RETRIEVER", 207),
        (" golden  retriever ", 207),
        ("daisy", 985),
        ("Granny Smith", 948),
        ("great white shark", 2),
        ("white shark", 2),  # another name of the same class
    ],
)
def test_a_category_is_known_by_its_number_or_any_of_its_names(category, number):
    assert imagenet_classes([category]) == {category: number}


@pytest.mark.parametrize("category", ["roses", "", "007", "NA", "n99999999", "n0208562", "retriever"])
def test_other_categories_are_left_out(category):
    assert imagenet_classes([category]) == {}
    assert imagenet_classes([category, "daisy"]) == {"daisy": 985}


@pytest.mark.parametrize("category", ["crane", "Crane", "cardigan", "maillot"])
def test_a_name_of_two_classes_is_left_out(category):
    """The bird and the machine, the dog and the jacket."""
    assert imagenet_classes([category]) == {}


def test_two_categories_of_one_class_are_left_out():
    assert imagenet_classes(["white shark", "n01484850", "daisy"]) == {"daisy": 985}


def test_the_order_is_that_of_the_categories():
    assert list(imagenet_classes(["tench", "daisy", "crane", "n02085620"])) == ["tench", "daisy", "n02085620"]
    assert imagenet_classes([]) == {}
