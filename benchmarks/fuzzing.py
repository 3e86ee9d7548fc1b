"""Decode thousands of mutated image files: none may crash the process, raise an error, take long or much memory.

    make fuzz                                    # 20,000 files, in about a minute on two cores
    python benchmarks/fuzzing.py --inputs 1000 --seed 7

Small pictures of every format are written, and their bytes flipped, cut, repeated, spliced and set to extremes. The
same seed gives the same files. The exit status is 1 if anything is out of bounds.
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import sys
import time
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tifffile
from PIL import Image

from mixvision.images.decoding import Decoding, decode_file

AT_ONCE = 250
MAX_SECONDS = 10.0  # of processor time for one file
MAX_MEGABYTES = 1500  # of a process, most of it libraries and the largest picture allowed
DECODING = Decoding(size=32, max_pixels=20_000_000, max_seconds=5.0)
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF)


@dataclass
class Findings:
    """What a block of inputs led to."""

    reasons: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    slowest: float = 0.0
    slowest_input: int = -1
    megabytes: float = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    begin, blocks = time.perf_counter(), range(0, asked.inputs, AT_ONCE)
    total = Findings()
    with ProcessPoolExecutor(initializer=silence) as pool:
        results = [pool.submit(run, asked.seed, start, min(start + AT_ONCE, asked.inputs)) for start in blocks]
        for start, result in zip(blocks, results, strict=True):
            try:
                merge(total, result.result())
            except BrokenProcessPool:
                sys.exit(f"The process crashed on an input from {start} on (seed {asked.seed}).")
    print(f"{asked.inputs:,} mutated files in {time.perf_counter() - begin:.0f} s (seed {asked.seed}):")
    for reason, count in total.reasons.most_common():
        print(f"  {count:>7,}  {reason or 'decoded'}")
    print(f"slowest: {total.slowest:.2f} s (input {total.slowest_input}); largest process: {total.megabytes:.0f} MB")
    for error in total.errors[:10]:
        print(error)
    if total.errors or total.slowest > MAX_SECONDS or total.megabytes > MAX_MEGABYTES:
        sys.exit("Out of bounds.")


def merge(total: Findings, part: Findings) -> None:
    total.reasons += part.reasons
    total.errors += part.errors
    total.megabytes = max(total.megabytes, part.megabytes)
    if part.slowest > total.slowest:
        total.slowest, total.slowest_input = part.slowest, part.slowest_input


def silence() -> None:
    """Keep the decoders' own messages, which are in C, out of the output."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def run(seed: int, start: int, stop: int) -> Findings:
    """Decode the inputs from `start` to `stop`."""
    warnings.simplefilter("ignore")
    found, files = Findings(), samples()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "input"
        for number in range(start, stop):
            path.write_bytes(mutated(files, np.random.default_rng([seed, number])))
            begin = time.thread_time()
            try:
                record, pixels = decode_file(path, DECODING)
                assert (pixels is None) == bool(record.reason), "pixels and reason do not fit"
                found.reasons[record.reason.split(":")[0]] += 1
            except Exception as error:  # what must not happen, of any kind
                found.errors.append(f"input {number}: {error!r}")
            seconds = time.thread_time() - begin
            if seconds > found.slowest:
                found.slowest, found.slowest_input = seconds, number
    found.megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        2**20 if sys.platform == "darwin" else 2**10
    )
    return found


def samples() -> list[bytes]:
    """Small files of every format and many of their kinds."""
    generator = np.random.default_rng(0)
    photo = Image.fromarray(generator.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize(
        (64, 48), Image.Resampling.BICUBIC
    )
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    files = []

    def add(kind: str, picture: Image.Image = photo, **options: object) -> None:
        stream = io.BytesIO()
        picture.save(stream, kind, **options)
        files.append(stream.getvalue())

    for options in ({}, {"progressive": True}, {"subsampling": 0, "exif": exif}):
        add("JPEG", **options)
    add("JPEG", photo.convert("CMYK"))
    for mode in ("RGB", "RGBA", "L", "LA", "P", "1", "I;16"):
        add(
            "PNG",
            Image.fromarray(np.arange(48 * 64, dtype=np.uint16).reshape(48, 64))
            if mode == "I;16"
            else photo.convert(mode),
        )
    add("PNG", photo.quantize(7), transparency=3)
    for kind in ("WEBP", "AVIF", "BMP", "GIF", "PPM", "TIFF", "JPEG2000"):
        add(kind, exif=exif) if kind in ("WEBP", "AVIF", "TIFF") else add(kind)
    add("WEBP", lossless=True)
    add("GIF", save_all=True, append_images=[photo.rotate(90)])
    for compression in ("tiff_lzw", "tiff_deflate", "packbits", "jpeg"):
        add("TIFF", compression=compression)
    for array in (np.arange(48 * 64, dtype=np.uint16), np.linspace(-1, 1, 48 * 64, dtype=np.float32)):
        stream = io.BytesIO()
        tifffile.imwrite(stream, array.reshape(48, 64))
        files.append(stream.getvalue())
    return files


def mutated(files: list[bytes], generator: np.random.Generator) -> bytes:
    """One of the files with one or two changes."""
    content = bytearray(files[generator.integers(len(files))])
    for _ in range(generator.integers(1, 3)):
        place = int(generator.integers(len(content))) if content else 0
        # Headers decide most, so that half of the changes are there.
        place = place % 100 if generator.random() < 0.5 else place
        length = int(2 ** generator.integers(0, 9))
        match generator.integers(7):
            case 0:
                content[place : place + 1] = bytes([int(generator.integers(256))])
            case 1:
                content[place : place + length] = generator.bytes(length)
            case 2:
                content[place : place + 4] = bytes([int(generator.choice(EXTREMES))] * 4)
            case 3:
                del content[place : place + length]
            case 4:
                content[place:place] = content[place : place + length] * int(generator.integers(1, 60))
            case 5:
                del content[max(place, 8) :]
            case _:
                other = files[generator.integers(len(files))]
                content[place:] = other[int(generator.integers(len(other))) :]
    return bytes(content)


if __name__ == "__main__":
    main()
