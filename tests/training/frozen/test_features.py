"""The cache of features: computed once, and again if anything that decides them changes or a file is damaged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from mixvision.models.backbones import Backbone, Preprocessing, PretrainedBackbone, embed, load_backbone
from mixvision.training.config import Arithmetic
from mixvision.training.frozen import features as module
from mixvision.training.frozen.features import backbone_features, extract_features, feature_function, images_per_second
from mixvision.training.pool import ImagePool, pool_images
from mixvision.transforms.test_time import view_of

CPU = torch.device("cpu")
KEY = {"architecture": "a projection", "sha256": "abc", "preprocessing": {"size": 16, "mean": [0.5, 0.5, 0.5]}}


@pytest.fixture(scope="module")
def pool(small_manifest, small_pixels) -> ImagePool:
    train = small_manifest.loc[small_manifest["split"] == "train", "id"]
    return pool_images(small_manifest, small_pixels, train)  # 240 images


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 50)


PROJECTION = torch.randn(768, 5, generator=torch.Generator().manual_seed(0))


class Embed:
    """Projects images to five features, counts them, and is killed after seeing ``killed_after`` of them."""

    def __init__(self, killed_after: int | None = None) -> None:
        self.killed_after, self.seen = killed_after, 0

    def __call__(self, images: Tensor) -> Tensor:
        assert not torch.is_grad_enabled()
        self.seen += len(images)
        if self.killed_after is not None and self.seen > self.killed_after:
            raise KeyboardInterrupt
        return images.flatten(1) @ PROJECTION


def expected_features(pool: ImagePool) -> Tensor:
    return pool.gather(torch.arange(len(pool.ids))).flatten(1) @ PROJECTION


@pytest.mark.parametrize("batch", [1, 16, 64])
def test_every_image_is_embedded_once_and_in_order(pool, tmp_path, batch):
    embed = Embed()
    features = extract_features(embed, pool, tmp_path, KEY, CPU, batch)
    torch.testing.assert_close(features, expected_features(pool))
    assert features.dtype == torch.float32 and embed.seen == 240
    again = extract_features(embed, pool, tmp_path, dict(reversed(KEY.items())), CPU, batch)
    assert torch.equal(again, features) and embed.seen == 240
    (file,) = tmp_path.iterdir()  # nothing is left but one file
    assert torch.equal(load_file(file)["features"], features)


def test_features_are_computed_again_if_anything_that_decides_them_changes(pool, tmp_path, monkeypatch):
    extract_features(Embed(), pool, tmp_path, KEY, CPU)
    pixels, ids = pool.pixels.clone(), pool.ids.copy()
    pixels[7, 0, 0, 0] ^= 1
    ids[3] += "x"
    changes = [
        (pool, KEY | {"sha256": "abd"}),
        (pool, KEY | {"preprocessing": {"size": 17, "mean": [0.5, 0.5, 0.5]}}),
        (replace(pool, pixels=pixels), KEY),
        (replace(pool, ids=ids), KEY),
        (replace(pool, ids=np.roll(pool.ids, 1)), KEY),
    ]
    for number, (changed, key) in enumerate(changes, start=2):
        embed = Embed()
        features = extract_features(embed, changed, tmp_path, key, CPU)
        assert embed.seen == 240 and len(list(tmp_path.iterdir())) == number
        torch.testing.assert_close(features, expected_features(changed))
    monkeypatch.setattr(torch, "__version__", "3.0.0")
    embed = Embed()
    extract_features(embed, pool, tmp_path, KEY, CPU)
    assert embed.seen == 240


def test_other_splits_and_labels_use_the_same_features(pool, tmp_path):
    extract_features(Embed(), pool, tmp_path, KEY, CPU)
    embed = Embed()
    other = replace(pool, labels=pool.labels.flip(0), held_out={"test": pool.held_out["test"][:5]})
    extract_features(embed, other, tmp_path, KEY, CPU)
    assert embed.seen == 0


@pytest.mark.parametrize("damage", ["empty", "truncated", "a flipped bit", "another file"])
def test_a_damaged_file_is_computed_again(pool, tmp_path, damage):
    extract_features(Embed(), pool, tmp_path, KEY, CPU)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    flipped = whole[:-1] + bytes([whole[-1] ^ 1])
    file.write_bytes({"empty": b"", "truncated": whole[:-9], "a flipped bit": flipped}.get(damage, b"P5 8 8"))
    embed = Embed()
    features = extract_features(embed, pool, tmp_path, KEY, CPU)
    assert embed.seen == 240 and file.read_bytes() == whole
    torch.testing.assert_close(features, expected_features(pool))


def test_an_interrupted_extraction_loses_at_most_a_chunk(pool, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        extract_features(Embed(killed_after=170), pool, tmp_path, KEY, CPU, batch=16)
    resumed = Embed()
    features = extract_features(resumed, pool, tmp_path, KEY, CPU, batch=16)
    assert resumed.seen == 240 - 150
    torch.testing.assert_close(features, expected_features(pool))
    assert len(list(tmp_path.iterdir())) == 1


def test_a_damaged_chunk_is_computed_again(pool, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        extract_features(Embed(killed_after=170), pool, tmp_path, KEY, CPU, batch=16)
    (chunk,) = tmp_path.glob("*/50-99.safetensors")
    chunk.write_bytes(chunk.read_bytes()[:-4])
    resumed = Embed()
    features = extract_features(resumed, pool, tmp_path, KEY, CPU)
    assert resumed.seen == 240 - 100
    torch.testing.assert_close(features, expected_features(pool))


def test_a_module_runs_in_evaluation_mode(pool, tmp_path):
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout(), nn.Flatten(), nn.Linear(768, 4))
    before = network[0].running_mean.clone()
    features = extract_features(network.train(), pool, tmp_path, KEY, CPU)
    with torch.no_grad():
        expected = network.eval()(pool.gather(torch.arange(240)))
    torch.testing.assert_close(features, expected)
    assert torch.equal(network[0].running_mean, before) and not features.requires_grad


def test_half_precision_comes_out_as_float32(pool, tmp_path):
    features = extract_features(lambda images: images.mean((2, 3)).bfloat16(), pool, tmp_path, KEY, CPU)
    assert features.dtype == torch.float32
    torch.testing.assert_close(features, pool.gather(torch.arange(240)).mean((2, 3)), rtol=0.01, atol=0.01)


def test_feature_maps_are_refused(pool, tmp_path):
    with pytest.raises(ValueError, match=r"features of shape \(50, 3, 16, 16\) for 50 images.*pool them"):
        extract_features(lambda images: images, pool, tmp_path, KEY, CPU)


def test_features_that_are_not_finite_are_refused_with_the_images_name(pool, tmp_path):
    brightest = int(pool.pixels.sum((1, 2, 3), dtype=torch.int64).argmax())
    total = pool.gather(torch.tensor([brightest])).sum()

    def embed(images: Tensor) -> Tensor:
        sums = images.flatten(1).sum(1, keepdim=True)
        return sums.masked_fill(sums >= total * 0.99999, torch.inf)

    with pytest.raises(ValueError, match=f"features of '{pool.ids[brightest]}' and 0 more images are not finite"):
        extract_features(embed, pool, tmp_path, KEY, CPU)


# Features of a pretrained network

HERE = Arithmetic("cpu")


@pytest.fixture(scope="module")
def backbone() -> PretrainedBackbone:
    return load_backbone(Backbone("test_resnet", "random"))


@pytest.fixture
def counted(monkeypatch) -> list[int]:
    """Sizes of the batches that went through a network."""
    batches = []

    def embed_and_count(network: nn.Module, images: Tensor) -> Tensor:
        batches.append(len(images))
        return embed(network, images)

    monkeypatch.setattr(module, "embed", embed_and_count)
    return batches


def test_features_of_a_backbone_are_those_of_the_preprocessed_view(pool, backbone, tmp_path):
    with torch.no_grad():
        crops = view_of(pool.gather(torch.arange(240)), "mirrored top left")
        expected = embed(backbone.network, Preprocessing(32, backbone.mean, backbone.std)(crops))
    features = backbone_features(backbone, 32, pool, tmp_path, HERE, "mirrored top left")
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)


def test_a_backbone_sees_every_image_once(pool, backbone, tmp_path, counted, monkeypatch):
    """And again if its weights, its mean, the size, the view, the precision, the pixels or timm's version change."""
    features = backbone_features(backbone, 32, pool, tmp_path, HERE)
    assert sum(counted) == 240
    assert torch.equal(backbone_features(backbone, 32, pool, tmp_path, HERE), features) and sum(counted) == 240
    again = load_backbone(Backbone("test_resnet", "random"))
    assert torch.equal(backbone_features(again, 32, pool, tmp_path, HERE), features) and sum(counted) == 240

    pixels = pool.pixels.clone()
    pixels[0, 0, 0, 0] ^= 1
    changes = [
        (load_backbone(Backbone("test_resnet", "random"), seed=1), 32, pool, HERE, "whole"),
        (replace(backbone, sha256="abc"), 32, pool, HERE, "whole"),
        (replace(backbone, mean=(0.4, 0.4, 0.4)), 32, pool, HERE, "whole"),
        (load_backbone(Backbone("test_efficientnet", "random")), 32, pool, HERE, "whole"),
        (backbone, 48, pool, HERE, "whole"),
        (backbone, 32, pool, HERE, "mirrored"),
        (backbone, 32, pool, Arithmetic("cpu", "bf16-mixed"), "whole"),
        (backbone, 32, replace(pool, pixels=pixels), HERE, "whole"),
    ]
    for number, (network, size, images, arithmetic, view) in enumerate(changes, start=2):
        backbone_features(network, size, images, tmp_path, arithmetic, view)
        assert sum(counted) == 240 * number
    monkeypatch.setattr(timm, "__version__", "9.0.0")
    backbone_features(backbone, 32, pool, tmp_path, HERE)
    assert sum(counted) == 240 * (number + 1)


def test_features_in_half_precision_are_close(pool, backbone, tmp_path):
    exact = backbone_features(backbone, 32, pool, tmp_path, HERE)
    half = backbone_features(backbone, 32, pool, tmp_path, Arithmetic("cpu", "bf16-mixed"))
    assert half.dtype == torch.float32 and not torch.equal(half, exact)
    torch.testing.assert_close(half, exact, rtol=0.1, atol=0.05 * exact.abs().max().item())


def test_the_original_network_stays_on_its_device(backbone):
    """Other functions start from it, possibly on another device."""

    class Elsewhere(Arithmetic):
        device = torch.device("meta")

    feature_function(backbone, 32, Elsewhere("cpu"))
    assert {tensor.device.type for tensor in backbone.network.state_dict().values()} == {"cpu"}


def test_the_speed_is_that_of_the_median_round(monkeypatch):
    clock = iter([0.0, 2.0, 2.0, 3.0, 3.0, 7.0])  # rounds of 2, 1 and 4 seconds
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(clock))
    shapes = []
    pace = images_per_second(lambda images: shapes.append(images.shape) or images.flatten(1), 8, Arithmetic("cpu"), 3)
    assert pace == (128.0, 192) and shapes == [(256, 3, 8, 8)] * 4  # the first warms up
