"""How fast a sweep trains: our stack, compared with the same models trained one at a time by plain PyTorch.

    python benchmarks/training.py [--trials 1 11 44] [--size 32] [--batch 45] [--precision 32-true] [--profile]

The alternatives are (a) the usual way, a plain loop with a DataLoader over JPEG files, and (b) the same loop with the
images already on the device as uint8. All train the same architecture with the same batch size. Each trains twice the
iterations, and the second half is measured, so that start-up does not count. Rounds alternate, and medians are
compared. The table also has operations and bytes per second with their shares of the device's peaks, which are measured
in the same run. The bytes are a lower bound (see roofline.py).
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
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from plain import batches_from_files, batches_on_device, plain_network, train_plainly
from roofline import cost_of_an_image, peak_bandwidth, peak_flops
from sklearn.datasets import load_sample_images
from torch.profiler import ProfilerActivity, profile
from torchvision.datasets import ImageFolder

from mixvision.models.resnet25 import ResNet25
from mixvision.training.config import Training
from mixvision.training.events import SILENT, TrainingListener
from mixvision.training.pool import BATCHES_PER_EPOCH, ImagePool
from mixvision.training.sweep.engine import train_sweep

CATEGORIES = 18
HELD_OUT = 2  # images, so that evaluation takes next to no time


class StepClock(TrainingListener):
    """Adds up the seconds between the evaluation half-way through each stack and the one at its end."""

    def __init__(self, iterations: int) -> None:
        self.iterations, self.seconds = iterations, 0.0

    def evaluated(self, history: list[dict]) -> None:
        self.seconds += time.perf_counter() * (1 if history[0]["iteration"] == 2 * self.iterations else -1)


def write_photos(folder: Path, count: int, size: int) -> None:
    """Write crops of scikit-learn's two photographs as JPEG files, in one folder per category."""
    generator = np.random.default_rng(0)
    photos = load_sample_images().images
    for number in range(count):
        photo = photos[number % 2]
        top, left = (generator.integers(0, side - size) for side in photo.shape[:2])
        path = folder / f"{number % CATEGORIES:02d}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo[top : top + size, left : left + size]).save(path, quality=90)


def pool_photos(folder: Path) -> ImagePool:
    data = ImageFolder(folder)
    pixels = np.stack([np.asarray(image) for image, _ in data])
    return ImagePool(
        ids=np.array([f"{number:06d}" for number in range(len(data))]),
        categories=tuple(data.classes),
        pixels=torch.from_numpy(pixels),
        labels=torch.tensor(data.targets),
        is_real=torch.arange(len(data)) % 2 == 0,
        held_out={split: torch.arange(len(data))[-HELD_OUT:] for split in ("validation", "test")},
    )


def train_stacked(
    pool: ImagePool, count: int, size: int, training: Training, events: TrainingListener = SILENT
) -> pd.DataFrame:
    """Train ``count`` models with the sweep engine, as the pipeline does; returns the outcomes."""
    names = [str(trial) for trial in range(count)]
    trials = pd.DataFrame({"trial": names, "seed": range(count), "learning_rate": 0.004, "l2": 0.5})
    images = pool.ids[:-HELD_OUT]
    sets = pd.DataFrame({"trial": np.repeat(names, len(images)), "id": np.tile(images, count)})
    with tempfile.TemporaryDirectory() as checkpoints, redirect_stdout(io.StringIO()):  # no progress bars in the table
        build = partial(ResNet25, CATEGORIES, size)
        result = train_sweep(build, trials, sets, pool, training, Path(checkpoints), events=events)
    return result.outcomes


def compare(settings: argparse.Namespace, folder: Path, pool: ImagePool) -> tuple[dict, dict[int, int]]:
    """Seconds that each contestant takes for ``iterations`` steps, by round, and the number of stacks of each sweep."""
    size, batch, iterations, device = settings.size, settings.batch, settings.iterations, settings.device
    training = training_of(settings, 2 * iterations, iterations)
    pixels = pool.pixels[:-HELD_OUT].permute(0, 3, 1, 2).contiguous().to(device)
    labels = pool.labels[:-HELD_OUT].to(device)
    sources: dict[str, Callable] = {
        "a": lambda: batches_from_files(folder, size, batch, device),
        "b": lambda: batches_on_device(pixels, labels, batch),
    }
    seconds, stacks = defaultdict(list), {}
    for _ in range(settings.rounds):
        for name, source in sources.items():
            network = plain_network(size, CATEGORIES)
            seconds[name].append(train_plainly(network, source(), iterations, device, settings.bfloat16))
        for count in settings.trials:
            clock = StepClock(iterations)
            outcomes = train_stacked(pool, count, size, training, clock)
            seconds[count].append(clock.seconds)
            stacks[count] = round((1 / outcomes["stack_size"]).sum())
    return seconds, stacks


def training_of(settings: argparse.Namespace, iterations: int, evaluate_every: int) -> Training:
    return Training(
        iterations=iterations,
        evaluate_every=evaluate_every,
        checkpoint_every=iterations,
        accelerator="gpu" if settings.device.type == "cuda" else "cpu",
        precision=settings.precision,
    )


def tabulate(settings: argparse.Namespace, seconds: dict, stacks: dict[int, int]) -> pd.DataFrame:
    """One row per contestant: model-images per second, ms per step, shares of the device's peaks, ratios."""
    flops, least_bytes = cost_of_an_image(settings.size, CATEGORIES, 2 if settings.bfloat16 else 4)
    most_flops, most_bytes = peak_flops(settings.device, settings.bfloat16), peak_bandwidth(settings.device)
    print(f"measured peaks: {most_flops / 1e9:,.0f} GFLOP/s, {most_bytes / 1e9:,.0f} GB/s")
    print(f"training on one image: {flops / 1e6:.1f} MFLOP, at least {least_bytes / 1e6:.2f} MB\n")
    names = {"a": "(a) plain, JPEG files", "b": "(b) plain, images on device"}
    images = settings.batch * settings.iterations
    rates = {key: (key if key in stacks else 1) * images / statistics.median(own) for key, own in seconds.items()}
    return pd.DataFrame(
        [
            {
                "what": names.get(key, f"ours, {key} models"),
                "stacks": stacks.get(key, 1),
                "model-images/s": f"{rate:,.0f}",
                "ms/step": f"{1e3 * statistics.median(seconds[key]) / settings.iterations / stacks.get(key, 1):.1f}",
                "GFLOP/s": f"{rate * flops / 1e9:,.0f} ({rate * flops / most_flops:.0%})",
                "GB/s": f"{rate * least_bytes / 1e9:,.1f} ({rate * least_bytes / most_bytes:.0%})",
                "x (a)": f"{rate / rates['a']:.2f}",
                "x (b)": f"{rate / rates['b']:.2f}",
            }
            for key, rate in rates.items()
        ]
    )


def print_profile(settings: argparse.Namespace, pool: ImagePool) -> None:
    """Print the operators in which ten steps of the largest sweep spend most time, start-up included."""
    on_gpu = settings.device.type == "cuda"
    with profile(activities=[ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * on_gpu]) as profiled:
        train_stacked(pool, max(settings.trials), settings.size, training_of(settings, 10, 10))
    order = "self_cuda_time_total" if on_gpu else "self_cpu_time_total"
    print(profiled.key_averages().table(sort_by=order, row_limit=20, max_name_column_width=50))


def read_settings() -> argparse.Namespace:
    cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=32, help="side of the images in pixels")
    parser.add_argument("--trials", type=int, nargs="+", default=[1, 11, 44] if cuda else [1, 11], help="models")
    parser.add_argument("--batch", type=int, default=45)
    parser.add_argument(
        "--iterations", type=int, default=200 if cuda else 20, help="steps measured, after as many for warm-up"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", type=torch.device, default="cuda" if cuda else "cpu")
    parser.add_argument("--precision", default="32-true", help="32-true or bf16-mixed")
    parser.add_argument("--profile", action="store_true", help="also print the operators that take most time")
    settings = parser.parse_args()
    settings.bfloat16 = settings.precision == "bf16-mixed"
    return settings


def main() -> None:
    settings = read_settings()
    where = torch.cuda.get_device_name() if settings.device.type == "cuda" else f"{os.cpu_count()} CPU cores"
    what = f"{settings.size}x{settings.size}, batch {settings.batch}, {settings.precision}"
    print(f"{what}, {where}, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_photos(folder, settings.batch * BATCHES_PER_EPOCH + HELD_OUT, settings.size)
        pool = pool_photos(folder)
        print(tabulate(settings, *compare(settings, folder, pool)).to_string(index=False))
        if settings.profile:
            print_profile(settings, pool)


if __name__ == "__main__":
    main()
