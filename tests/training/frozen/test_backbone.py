"""Pretrained networks with their original classifier, compared with timm, and on ImageNet's own photos of dogs."""

from __future__ import annotations

import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image, ImageOps

from mixvision.models.backbones import Backbone, PretrainedBackbone, load_backbone
from mixvision.models.imagenet import class_names
from mixvision.training.config import Arithmetic
from mixvision.training.frozen import features as module
from mixvision.training.frozen.backbone import (
    FrozenBackbone,
    as_is_probabilities,
    count_classes,
    count_parameters,
    probability_frame,
)
from mixvision.training.pool import ImagePool

PLANTS = ("daisy", "n07745940-strawberry", "pot")  # classes 985, 949 and 738
DOGS = range(151, 269)


@pytest.fixture(scope="module")
def lite0() -> PretrainedBackbone:
    return load_backbone(Backbone())


@pytest.fixture
def pool() -> ImagePool:
    """Nine images of noise, five of them held out."""
    pixels = torch.randint(0, 256, (9, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    ids = np.array([f"nice/{number}" for number in range(9)])
    held_out = {"validation": torch.tensor([1, 4]), "test": torch.tensor([0, 3, 8])}
    return ImagePool(ids, PLANTS, pixels, torch.arange(9) % 3, torch.zeros(9, dtype=torch.bool), held_out)


@pytest.fixture
def frozen(lite0, pool, tmp_path) -> FrozenBackbone:
    return FrozenBackbone(Backbone(), lite0, 56, pool, tmp_path, Arithmetic("cpu"))


@torch.no_grad()
def test_probabilities_are_those_of_timm_on_the_central_crops(frozen, lite0, pool):
    everything, among = as_is_probabilities(frozen)
    crops = pool.pixels[[1, 4, 0, 3, 8], 4:60, 4:60].permute(0, 3, 1, 2) / 255
    expected = lite0.network((crops - 0.5) / 0.5).softmax(1).numpy()
    for frame in (everything, among):
        assert frame["id"].tolist() == ["nice/1", "nice/4", "nice/0", "nice/3", "nice/8"]
        assert (frame["view"] == "whole").all()
    values = everything.drop(columns=["view", "id"])
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-7)
    names = list(class_names())
    names[985], names[949], names[738] = PLANTS
    assert list(values) == names and len(set(names)) == 1000 and (values.dtypes == "float32").all()
    restricted = expected[:, [985, 949, 738]]
    np.testing.assert_allclose(among[list(PLANTS)], restricted / restricted.sum(1, keepdims=True), rtol=1e-4)
    assert list(among) == ["view", "id", *PLANTS]


def test_categories_and_networks_that_are_not_imagenets_are_refused(frozen, lite0):
    others = replace(frozen, pool=replace(frozen.pool, categories=("roses", "tulips", "apples")))
    with pytest.raises(ValueError, match=r"tf_efficientnet_lite0 cannot classify .* \(roses, tulips, apples, ...\)"):
        as_is_probabilities(others)
    ten = replace(lite0, network=timm.create_model("resnet10t", num_classes=10))
    distilled = load_backbone(Backbone("deit_tiny_distilled_patch16_224", "random"))
    assert [count_classes(loaded) for loaded in (lite0, ten, distilled)] == [1000, 10, 0]
    for loaded in (ten, distilled):
        with pytest.raises(ValueError, match="lite0 cannot classify.* or the network has other classes or two class"):
            as_is_probabilities(replace(frozen, loaded=loaded))


def test_other_views_are_computed_for_held_out_images_only(frozen, monkeypatch):
    seen, embed = [], module.embed
    monkeypatch.setattr(module, "embed", lambda network, images: seen.append(len(images)) or embed(network, images))
    features = frozen.features()
    assert torch.equal(frozen.held_out_features(), features[[1, 4, 0, 3, 8]]) and seen == [9]
    mirrored = frozen.held_out_features("mirrored")
    assert seen == [9, 5]
    torch.testing.assert_close(mirrored, frozen.features("mirrored")[[1, 4, 0, 3, 8]], rtol=1e-3, atol=1e-4)


def test_parameters_are_counted_with_or_without_the_last_layer(lite0):
    assert count_parameters(lite0) == 3_371_008
    assert count_parameters(lite0, with_classifier=True) == 3_371_008 + 1000 * 1281 == 4_652_008
    distilled = load_backbone(Backbone("deit_tiny_distilled_patch16_224", "random"))
    both = 2 * 1000 * (192 + 1)
    assert count_parameters(distilled, with_classifier=True) - count_parameters(distilled) == both


def test_a_frame_of_probabilities_has_views_and_ids(pool):
    frame = probability_frame(pool, "mirrored", torch.arange(10.0).view(5, 2), ("a", "b"))
    assert frame.values.tolist()[1] == ["mirrored", "nice/4", 2.0, 3.0] and list(frame) == ["view", "id", "a", "b"]


def photos(archive: Path, side: int, step: int) -> ImagePool:
    """Every ``step``-th of the dogs, of which there is one per breed, as test images; the categories are all breeds."""
    with tarfile.open(archive) as opened:
        members = sorted((m for m in opened.getmembers() if int(m.name[:3]) in DOGS), key=lambda member: member.name)
        categories = tuple(member.name[4:-4] for member in members)
        pictures = [Image.open(opened.extractfile(member)).convert("RGB") for member in members[::step]]
        squares = [np.asarray(ImageOps.fit(picture, (side, side), Image.Resampling.BILINEAR)) for picture in pictures]
    labels = torch.arange(len(categories))[::step]
    ids, held_out = np.array([str(label) for label in labels.tolist()]), {"test": torch.arange(len(labels))}
    real = torch.zeros(len(labels), dtype=torch.bool)
    return ImagePool(ids, categories, torch.from_numpy(np.stack(squares)), labels, real, held_out)


def judge(frozen: FrozenBackbone) -> tuple[float, float, float]:
    """Top-1 accuracy among all classes and among the breeds, and the share of predictions that are not a breed."""
    frames = [frame.drop(columns=["view", "id"]) for frame in as_is_probabilities(frozen)]
    said, among = (np.array(frame.columns)[frame.to_numpy().argmax(1)] for frame in frames)
    truth = np.array(frozen.pool.categories)[frozen.pool.labels]
    assert np.isin(among, frozen.pool.categories).all()
    outside = ~np.isin(said, frozen.pool.categories)
    assert (among == said)[~outside].all()  # only predictions that are not a breed change
    return (said == truth).mean(), (among == truth).mean(), outside.mean()


def test_it_recognises_the_dogs_of_imagenet(shared_data, lite0, tmp_path):
    """A wrong mean and standard deviation give 0.76 here, colours in reverse order 0.69, transposed images 0.49."""
    images = photos(shared_data("imagenet-samples.tar"), 224, 2)
    free, among, outside = judge(FrozenBackbone(Backbone(), lite0, 224, images, tmp_path, Arithmetic("cpu")))
    assert free > 0.82 and among >= free and outside < 0.1


def test_small_images_are_mistaken_for_other_classes_more_often(shared_data, lite0, tmp_path):
    images = photos(shared_data("imagenet-samples.tar"), 96, 1)
    free, among, outside = judge(FrozenBackbone(Backbone(), lite0, 96, images, tmp_path, Arithmetic("cpu")))
    assert 0.05 < outside < 0.4 and among > free > 0.3
    start = load_backbone(Backbone(weights="random"))
    free, among, outside = judge(FrozenBackbone(Backbone(), start, 96, images, tmp_path, Arithmetic("cpu")))
    assert free < 0.05 and among < 0.1 and outside > 0.5
