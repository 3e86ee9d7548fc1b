"""How fast a sweep trains: our stack against the same models trained one after another by a plain PyTorch loop.

    python benchmarks/training.py [--size 32] [--trials 11] [--iterations 40] [--batch 45] [--device cpu]

The plain loop is what one would otherwise write: the same architecture from ``torch.nn`` (Conv2d, BatchNorm2d without
scale and shift, ELU), ``torch.optim.SGD`` with weight decay, and a DataLoader over JPEG files in folders, decoded and
resized by torchvision, with as many workers as there are cores. Both train on the same images with the same batch
size; data loading, start-up and checkpoints count, evaluation does not. Rounds alternate, and medians are compared.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from mixvision.models.resnet25 import ResNet25
from mixvision.training.data import BATCHES_PER_EPOCH, ImagePool
from mixvision.training.sweep import Training, train_sweep

CATEGORIES = 18


class PlainNorm(nn.BatchNorm2d):
    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=False)


class PlainBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.body = nn.Sequential(
            PlainNorm(inputs),
            nn.Conv2d(inputs, outputs, 3, stride, padding=1),
            nn.ELU(),
            PlainNorm(outputs),
            nn.Conv2d(outputs, outputs, 3, padding=1),
        )
        bridge = [PlainNorm(inputs), nn.Conv2d(inputs, outputs, 1, stride)]
        self.bridge = nn.Sequential(*bridge) if stride == 2 else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.elu(self.body(x) + self.bridge(x))


def plain_network(size: int) -> nn.Module:
    """The same architecture as a newcomer to the paper would write it (odd sizes round up here, not down)."""
    blocks = [(8, 8)] * 3 + [(8, 16)] + [(16, 16)] * 3 + [(16, 32)] + [(32, 32)] * 3
    network = nn.Sequential(
        PlainNorm(3),
        nn.Conv2d(3, 8, 5, padding=2),
        nn.ELU(),
        nn.MaxPool2d(2),
        *[PlainBlock(inputs, outputs) for inputs, outputs in blocks],
        nn.AvgPool2d(2),
        nn.Flatten(),
    )
    features = network(torch.zeros(2, 3, size, size)).shape[1]
    head = [nn.BatchNorm1d(features, affine=False), nn.Linear(features, 200), nn.Tanh()]
    return network.extend(nn.Sequential(*head, nn.BatchNorm1d(200, affine=False), nn.Linear(200, CATEGORIES)))


def write_photos(folder: Path, count: int, size: int) -> None:
    """Crops of scikit-learn's two photographs as JPEG files in folders of categories."""
    generator = np.random.default_rng(0)
    photos = load_sample_images().images
    for number in range(count):
        photo = photos[number % 2]
        top, left = (generator.integers(0, side - size) for side in photo.shape[:2])
        path = folder / f"{number % CATEGORIES:02d}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo[top : top + size, left : left + size]).save(path, quality=90)


def train_plainly(folder: Path, size: int, batch: int, iterations: int, trials: int, device: torch.device) -> None:
    transform = transforms.Compose([transforms.CenterCrop(size), transforms.ToTensor()])
    data = ImageFolder(folder, transform)
    for _ in range(trials):
        network = plain_network(size).to(device)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.004, momentum=0.5, weight_decay=0.5)
        loader = DataLoader(
            data, batch, shuffle=True, drop_last=True, num_workers=os.cpu_count(), persistent_workers=True
        )
        done = 0
        while done < iterations:
            for images, labels in loader:
                loss = F.cross_entropy(network(images.to(device)), labels.to(device))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                done += 1
                if done == iterations:
                    break
    synchronise(device)


def prepare_sweep(folder: Path, batch: int, trials: int) -> tuple[pd.DataFrame, pd.DataFrame, ImagePool]:
    data = ImageFolder(folder)
    pixels = np.stack([np.asarray(image) for image, _ in data])
    names = [f"{number:06d}" for number in range(len(data))]
    pool = ImagePool(
        ids=np.array(names),
        categories=tuple(data.classes),
        pixels=torch.from_numpy(pixels),
        labels=torch.tensor(data.targets),
        is_real=torch.arange(len(data)) % 2 == 0,
        held_out={split: torch.arange(len(data))[-2:] for split in ("validation", "test")},  # next to no evaluation
    )
    trial_names = [str(trial) for trial in range(trials)]
    table = pd.DataFrame({"trial": trial_names, "seed": 0, "learning_rate": 0.004, "l2": 0.5})
    images = pool.ids[:-2]
    sets = {"trial": np.repeat(table["trial"], len(images)), "id": np.tile(images, trials)}
    return table, pd.DataFrame(sets), pool


def train_stacked(sweep: tuple, size: int, iterations: int, device: torch.device) -> list[int]:
    """Train with the sweep engine as the pipeline does, and return the sizes of the stacks that it formed."""
    accelerator = "cpu" if device.type == "cpu" else "gpu"
    training = Training(iterations, evaluate_every=iterations, checkpoint_every=iterations, accelerator=accelerator)
    with tempfile.TemporaryDirectory() as checkpoints:
        result = train_sweep(partial(ResNet25, CATEGORIES, size), *sweep, training, Path(checkpoints))
    synchronise(device)
    return sorted(set(result.outcomes["stack_size"]))


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def seconds(function: Callable[[], None]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=32, help="side of the images in pixels")
    parser.add_argument("--trials", type=int, default=11)
    parser.add_argument("--batch", type=int, default=45)
    parser.add_argument("--iterations", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    size, trials, batch, iterations = arguments.size, arguments.trials, arguments.batch, arguments.iterations
    device = torch.device(arguments.device)
    images = trials * batch * iterations
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_photos(folder, batch * BATCHES_PER_EPOCH + 2, size)
        sweep = prepare_sweep(folder, batch, trials)
        sizes = train_stacked(sweep, size, 1, device)
        ours, plain = [], []
        for _ in range(arguments.rounds):
            plain.append(seconds(lambda: train_plainly(folder, size, batch, iterations, trials, device)))
            ours.append(seconds(lambda: train_stacked(sweep, size, iterations, device)))
    ours_rate, plain_rate = images / statistics.median(ours), images / statistics.median(plain)
    where = torch.cuda.get_device_name() if device.type == "cuda" else f"{os.cpu_count()} CPU cores"
    print(f"{trials} models at {size}x{size}, batch {batch}, on {where}, torch {torch.__version__}")
    print(f"plain loop, one after another   {plain_rate:8.0f} model-images/s")
    print(f"our sweep, stacks of {sizes}   {ours_rate:8.0f} model-images/s")
    print(f"ratio   {ours_rate / plain_rate:.2f}")


if __name__ == "__main__":
    main()
