"""The peak speeds of a device, and what a training step of our network demands of it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from plain import synchronise
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from mixvision.models.resnet25 import ResNet25
from mixvision.models.stacked import StackedConv2d


def peak_flops(device: torch.device, bfloat16: bool) -> float:
    """Floating point operations per second, the faster of a large matrix product and a large convolution.

    On some CPUs the matrix product is far slower than the convolution.
    """
    cuda = device.type == "cuda"
    kind = torch.bfloat16 if bfloat16 else torch.float32
    side, batch = (8192, 256) if cuda else (1536, 32)
    matrix = torch.rand(side, side, device=device, dtype=kind)
    maps = torch.rand(batch, 64, 32, 32, device=device, dtype=kind).contiguous(memory_format=torch.channels_last)
    kernel = torch.rand(64, 64, 3, 3, device=device, dtype=kind)
    products = 2 * side**3 / median_seconds(lambda: matrix @ matrix, device)
    convolutions = (
        2 * maps.numel() * kernel[0].numel() / median_seconds(lambda: F.conv2d(maps, kernel, padding=1), device)
    )
    return max(products, convolutions)


def peak_bandwidth(device: torch.device) -> float:
    """Bytes per second read and written when a tensor far larger than any cache is copied."""
    source = torch.ones(2**28 if device.type == "cuda" else 2**25, device=device)  # 1 GB, or 128 MB
    target = torch.empty_like(source)
    return 2 * source.nbytes / median_seconds(lambda: target.copy_(source), device)


def median_seconds(function: Callable[[], object], device: torch.device, rounds: int = 5) -> float:
    """Median seconds of a call, after a warm-up."""
    seconds = []
    for _ in range(rounds + 1):
        synchronise(device)
        begin = time.perf_counter()
        function()
        synchronise(device)
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds[1:])


def cost_of_an_image(size: int, categories: int, bytes_per_number: int) -> tuple[float, float]:
    """Floating point operations, and the fewest bytes from and to memory, of training on one image.

    The operations are those of convolutions and matrix products, forward and backward. The bytes are a lower bound:
    forward, each convolution reads its input and writes its output; backward, it reads the output's gradient and the
    input again, and writes the input's gradient (except the first convolution). Everything else (normalisation,
    activation, addition, pooling, weights) is assumed to cost nothing, as if it were fused with a convolution.
    """
    network = ResNet25(categories, size, [torch.Generator()])
    numbers = []

    def note(_, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        numbers.append((3 if numbers else 2) * inputs[0].numel() + 2 * output.numel())

    for layer in network.modules():
        if isinstance(layer, StackedConv2d):
            layer.register_forward_hook(note)
    with FlopCounterMode(display=False) as counter:
        network(torch.rand(1, 3, size, size)).sum().backward()
    return counter.get_total_flops(), sum(numbers) * bytes_per_number
