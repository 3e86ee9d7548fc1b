"""How fast features are extracted, heads trained and networks fine-tuned, compared with plain timm and torchvision.

    python benchmarks/transfer.py [--backbone tf_efficientnet_lite0] [--weights package] [--size 192]
        [--trainable-blocks 3 all]

- Features: ours from pixels in memory; the usual way (ImageFolder and timm's own transform in a DataLoader); and the
  upper bound of both, the same network on random tensors.
- Heads: eleven together, or one after the other with a DataLoader over the features.
- Fine-tuning: ours, or a plain loop with torchvision's augmentation. Only the second epoch is measured, so that
  start-up does not count.

Rounds alternate, and medians are compared.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pandas as pd
import timm
import torch
from plain import synchronise
from timm.data import create_transform, resolve_data_config
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
from torchvision import transforms
from torchvision.datasets import ImageFolder
from training import HELD_OUT, pool_photos, write_photos

from mixvision.models.backbones import Backbone, PretrainedBackbone, load_backbone
from mixvision.models.freezing import freeze
from mixvision.models.transfer import transfer_network
from mixvision.studies.transfer.training import all_training_sets
from mixvision.training.config import EpochTraining
from mixvision.training.fine_tuning.config import FineTuning, Phase
from mixvision.training.fine_tuning.tuner import TrainedHeads, fine_tune
from mixvision.training.frozen.features import backbone_features, feature_function, images_per_second
from mixvision.training.frozen.heads import train_heads
from mixvision.training.pool import ImagePool
from mixvision.transforms.augmentation import Augmentation

HEADS, EPOCHS, BATCH = 11, 10, 32


def plain_features(settings: argparse.Namespace, folder: Path) -> float:
    """Images per second of ImageFolder, timm's transform, a DataLoader and the network, as in timm's documentation."""
    network = timm.create_model(settings.backbone, num_classes=0).to(settings.device).eval()
    config = resolve_data_config({"input_size": (3, settings.size, settings.size)}, model=network)
    loader = plain_loader(settings, folder, create_transform(**config), 64, shuffle=False)
    count, began = 0, 0.0
    with torch.no_grad():
        for number, (images, _) in enumerate(loader):
            if number == 1:  # the first batch warms up
                synchronise(settings.device)
                began = time.perf_counter()
            with autocast(settings):
                network(images.to(settings.device, non_blocking=True))
            count += len(images) * (number > 0)
    synchronise(settings.device)
    return count / (time.perf_counter() - began)


def our_features(settings: argparse.Namespace, loaded: PretrainedBackbone, pool: ImagePool) -> float:
    """Images per second from the pool's pixels to a new cache."""
    with tempfile.TemporaryDirectory() as cache, redirect_stderr(io.StringIO()):
        began = time.perf_counter()
        backbone_features(loaded, settings.size, pool, Path(cache), settings.training)
        return len(pool.ids) / (time.perf_counter() - began)


def our_heads(settings: argparse.Namespace, features: Tensor, pool: ImagePool) -> float:
    """Seconds that eleven heads take together."""
    trials = pd.DataFrame({"trial": [str(k) for k in range(HEADS)], "seed": range(HEADS)})
    trials = trials.assign(head="linear", optimizer="adam", learning_rate=1e-3, weight_decay=0.0, batch_size=64)
    began = time.perf_counter()
    train_heads(trials, features, pool, all_training_sets(trials, pool), settings.training)
    return time.perf_counter() - began


def plain_heads(settings: argparse.Namespace, features: Tensor, pool: ImagePool) -> float:
    """Seconds that eleven heads take one after the other."""
    data = TensorDataset(features[:-HELD_OUT], pool.labels[:-HELD_OUT])
    began = time.perf_counter()
    for _ in range(HEADS):
        head = nn.Linear(features.shape[1], len(pool.categories)).to(settings.device)
        optimizer = torch.optim.Adam(head.parameters(), lr=1e-3)
        for _ in range(EPOCHS):
            for inputs, labels in DataLoader(data, 64, shuffle=True, drop_last=True):
                loss = F.cross_entropy(head(inputs.to(settings.device)), labels.to(settings.device))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return time.perf_counter() - began


def our_fine_tuning(
    settings: argparse.Namespace, loaded: PretrainedBackbone, pool: ImagePool, trainable_blocks: int | str
) -> float:
    """Images per second in the second epoch of fine-tuning."""
    plan = FineTuning(phases=(Phase(trainable_blocks, 2, 1e-5),), batch_size=BATCH)
    trials = pd.DataFrame({"trial": ["ours"], "seed": [0]})

    def build(_: object) -> nn.Module:
        return transfer_network(loaded, settings.size, "linear", len(pool.categories))

    with tempfile.TemporaryDirectory() as checkpoints, redirect_stdout(io.StringIO()):
        result = fine_tune(
            trials,
            plan,
            TrainedHeads(build, {"ours": []}),
            pool,
            Augmentation(vertical_flip=False, colour=0.2),
            settings.training,
            Path(checkpoints),
        )
    seconds = result.history.loc[result.history["split"] == "train", "seconds"].iloc[1]
    return (len(pool.ids) - HELD_OUT) // BATCH * BATCH / seconds


def plain_fine_tuning(
    settings: argparse.Namespace, folder: Path, categories: int, trainable_blocks: int | str
) -> float:
    """Images per second in the second epoch of a plain loop with torchvision's augmentation on the CPU."""
    network = timm.create_model(settings.backbone, num_classes=categories).to(settings.device)
    freeze(network, trainable_blocks)
    network.train()
    optimizer = torch.optim.Adam([weights for weights in network.parameters() if weights.requires_grad], lr=1e-5)
    views = [
        transforms.Resize((settings.size, settings.size)),
        transforms.RandomHorizontalFlip(),
        transforms.RandomAffine(15, scale=(0.8, 1.0)),
        transforms.ColorJitter(0.2, 0.2, 0.2),
        transforms.ToTensor(),
        transforms.Normalize(network.pretrained_cfg["mean"], network.pretrained_cfg["std"]),
    ]
    loader = plain_loader(settings, folder, transforms.Compose(views), BATCH, shuffle=True)
    for _ in range(2):
        synchronise(settings.device)
        began = time.perf_counter()
        for images, labels in loader:
            with autocast(settings):
                loss = F.cross_entropy(network(images.to(settings.device)), labels.to(settings.device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        synchronise(settings.device)
    return len(loader) * BATCH / (time.perf_counter() - began)


def plain_loader(
    settings: argparse.Namespace, folder: Path, transform: Callable, batch: int, shuffle: bool
) -> DataLoader:
    """Batches of JPEG files, decoded by as many workers as there are cores."""
    return DataLoader(
        ImageFolder(folder, transform),
        batch,
        shuffle=shuffle,
        drop_last=True,
        num_workers=os.cpu_count(),
        persistent_workers=True,
        pin_memory=settings.device.type == "cuda",
    )


def autocast(settings: argparse.Namespace) -> torch.autocast:
    return torch.autocast(settings.device.type, torch.bfloat16, enabled=settings.training.precision == "bf16-mixed")


def compare(settings: argparse.Namespace, folder: Path, pool: ImagePool) -> dict[str, list[float]]:
    """The speed of every contestant by round: images per second, or trainings of the heads per second."""
    loaded = load_backbone(Backbone(settings.backbone, settings.weights))
    measured, compute = defaultdict(list), feature_function(loaded, settings.size, settings.training)
    with tempfile.TemporaryDirectory() as cache, redirect_stderr(io.StringIO()):
        features = backbone_features(loaded, settings.size, pool, Path(cache), settings.training)
    for _ in range(settings.rounds):
        measured["features, ours"].append(our_features(settings, loaded, pool))
        measured["features, random tensors"].append(images_per_second(compute, settings.size, settings.training, 25)[0])
        measured["features, plain"].append(plain_features(settings, folder))
        measured["heads, plain"].append(1 / plain_heads(settings, features, pool))
        measured["heads, ours"].append(1 / our_heads(settings, features, pool))
        for trainable_blocks in settings.trainable_blocks:
            name = f"fine-tuning ({trainable_blocks})"
            measured[f"{name}, plain"].append(
                plain_fine_tuning(settings, folder, len(pool.categories), trainable_blocks)
            )
            measured[f"{name}, ours"].append(our_fine_tuning(settings, loaded, pool, trainable_blocks))
    return measured


def tabulate(measured: dict[str, list[float]]) -> pd.DataFrame:
    medians = {name: statistics.median(rates) for name, rates in measured.items()}
    rows = []
    for name, rate in medians.items():
        what, _, who = name.partition(", ")
        unit = f"{1 / rate:.2f} s" if what == "heads" else f"{rate:,.1f} images/s"
        rows.append({"what": what, "who": who, "speed": unit, "x plain": f"{rate / medians[f'{what}, plain']:.2f}"})
    bound = medians["features, ours"] / medians["features, random tensors"]
    print(f"Features: {bound:.0%} of the throughput of the same network on random tensors.")
    return pd.DataFrame(rows)


def read_settings() -> argparse.Namespace:
    cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--weights", default="package", help="package, download, random or the path of a file")
    parser.add_argument("--size", type=int, default=192, help="side of the photos and the network's input, in pixels")
    parser.add_argument("--images", type=int, default=8192 if cuda else 512)
    parser.add_argument(
        "--trainable-blocks", nargs="*", default=["3", "all"], help="numbers of last blocks to fine-tune, or all"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", default="32-true", help="32-true or bf16-mixed")
    settings = parser.parse_args()
    settings.trainable_blocks = [int(blocks) if blocks.isdigit() else blocks for blocks in settings.trainable_blocks]
    settings.training = EpochTraining(epochs=EPOCHS, patience=EPOCHS, precision=settings.precision)
    settings.device = settings.training.device
    return settings


def main() -> None:
    settings = read_settings()
    where = torch.cuda.get_device_name() if settings.device.type == "cuda" else f"{os.cpu_count()} CPU cores"
    print(f"{settings.backbone}, {settings.size} pixels, {settings.precision}, {where}, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_photos(folder, settings.images, settings.size)
        print(tabulate(compare(settings, folder, pool_photos(folder))).to_string(index=False))


if __name__ == "__main__":
    main()
