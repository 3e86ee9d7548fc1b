"""Seconds of a training step on quiet and on shared cores: OpenMP's default wait against Mixvision's.

    python benchmarks/shared_cores.py

Each measurement is a process of its own that trains eleven 25-layer ResNets as one network, on as many threads as there
are cores: alone, beside a program that keeps a core busy, and beside one that was started from another terminal (Linux
schedules each terminal's programs as a group). Both settings run alternately; medians over rounds.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

ROUNDS, STEPS, NETWORKS, BATCH, SIDE, CATEGORIES = 3, 12, 11, 44, 24, 10
BESIDE = {"nothing": "pass", "busy program": "while True: pass", "busy, another terminal": "while True: pass"}


def main() -> None:
    plain = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    import mixvision  # which sets it

    settings = (plain, plain | {"GOMP_SPINCOUNT": os.environ["GOMP_SPINCOUNT"]})
    print(f"mixvision {mixvision.__version__}, {os.cpu_count()} cores")
    print(f"{'beside':<24}{'default':>12}{'mixvision':>12}{'ratio':>8}")
    for name, code in BESIDE.items():
        busy = subprocess.Popen([sys.executable, "-c", code], start_new_session="terminal" in name)
        times = [[seconds_of_a_step(setting) for setting in settings] for _ in range(ROUNDS)]
        busy.kill()
        default, ours = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"{name:<24}{default:>10.3f} s{ours:>10.3f} s{ours / default:>8.2f}", flush=True)


def seconds_of_a_step(environment: dict[str, str]) -> float:
    done = subprocess.run(
        [sys.executable, __file__, "step"], env=environment, check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def train() -> float:
    """The median of the seconds of some steps, in this process and on one batch."""
    import torch  # before mixvision, which would change the setting that is timed
    from torch.nn import functional as F

    from mixvision.models.resnet25 import ResNet25

    network = ResNet25(CATEGORIES, SIDE, [torch.Generator().manual_seed(seed) for seed in range(NETWORKS)])
    images = torch.rand(BATCH, NETWORKS * 3, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(CATEGORIES, (NETWORKS * BATCH,))
    seconds = []
    for _ in range(STEPS):
        begin = time.perf_counter()
        F.cross_entropy(network.train()(images).flatten(0, 1), labels).backward()
        network.zero_grad()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds[2:])


if __name__ == "__main__":
    if sys.argv[1:]:
        print(train())
    else:
        main()
