"""The usual way to train the same network: plain eager PyTorch, one model at a time."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder


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
        shortcut = [PlainNorm(inputs), nn.Conv2d(inputs, outputs, 1, stride)]
        self.shortcut = nn.Sequential(*shortcut) if stride == 2 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.elu(self.body(x) + self.shortcut(x))


def plain_network(size: int, categories: int) -> nn.Module:
    """The same architecture, written plainly from the paper (odd sizes round up here, not down)."""
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
    return network.extend(nn.Sequential(*head, nn.BatchNorm1d(200, affine=False), nn.Linear(200, categories)))


def batches_from_files(folder: Path, size: int, batch: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches, decoded from JPEG files by as many workers as there are cores."""
    transform = transforms.Compose([transforms.CenterCrop(size), transforms.ToTensor()])
    data = ImageFolder(folder, transform)
    loader = DataLoader(
        data,
        batch,
        shuffle=True,
        drop_last=True,
        num_workers=os.cpu_count(),
        persistent_workers=True,
        pin_memory=device.type == "cuda",
    )
    while True:
        for images, labels in loader:
            yield images.to(device, non_blocking=True), labels.to(device, non_blocking=True)


def batches_on_device(pixels: Tensor, labels: Tensor, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches from images that are on the device as uint8 ``(N, 3, S, S)``."""
    while True:
        for chosen in torch.randperm(len(pixels), device=pixels.device).split(batch):
            if len(chosen) == batch:
                yield pixels[chosen].float() / 255, labels[chosen]


def train_plainly(
    network: nn.Module,
    batches: Iterator[tuple[Tensor, Tensor]],
    iterations: int,
    device: torch.device,
    bfloat16: bool,
) -> float:
    """Seconds of the second half of ``2 * iterations`` steps of gradient descent; the first half is the warm-up."""
    network = network.to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.004, momentum=0.5, weight_decay=0.5)
    for iteration in range(2 * iterations):
        if iteration == iterations:
            synchronise(device)
            begin = time.perf_counter()
        images, labels = next(batches)
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            loss = F.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    synchronise(device)
    return time.perf_counter() - begin


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
