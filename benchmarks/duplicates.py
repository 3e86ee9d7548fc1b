"""How many planted copies are found: Mixvision, its hash alone, two hashes of the ImageHash package, and an embedding.

    python benchmarks/duplicates.py flowers.tar berries.tar digits --images 120 --sizes 64 100 192
    pip install imagehash  # for the columns pHash and dHash

Every photo of a set gets one altered copy of each kind. Each kind is looked for by itself among the photos: few people
have 24 copies of one. Its recall is the share of its copies that are joined with their original. "Pairs of originals"
are found among the photos themselves: real copies, or mistakes; with --show they are listed, to be looked at. Only
every second photo is used: the constants were chosen on the others (--half choosing). The embedding is that of
EfficientNet-Lite0 at 224 pixels; a cosine of .9 or more is a pair, as is usual.
"""

from __future__ import annotations

import argparse
import io
import math
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

from mixvision.images.copies import altered_copies, grey_pictures
from mixvision.images.decoding import centred_square
from mixvision.images.duplicates import Duplicates, thumbnails_of
from mixvision.images.formats.colours import to_rgb
from mixvision.images.formats.recognise import SUFFIXES
from mixvision.images.hashing import perceptual_hash, thumbnail_of
from mixvision.images.pairs import pairs_by_hash
from mixvision.images.samples import write_digits, write_mnist
from mixvision.models.backbones import Backbone, Preprocessing, embed, load_backbone

try:
    import imagehash
except ImportError:
    imagehash = None

IMAGEHASH_BITS = 10  # of 64, a usual threshold
COSINE = 0.9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", help="tar archives of photos, or digits for the bundled sample")
    parser.add_argument("--images", type=int, default=120, help="photos of every set")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100], help="sides of the stored squares in pixels")
    parser.add_argument("--within", default="", help="only files whose path contains this, such as real/")
    parser.add_argument("--half", choices=("choosing", "reporting"), default="reporting")
    parser.add_argument("--show", action="store_true", help="list the pairs of originals")
    asked = parser.parse_args()
    for source in asked.sets:
        report(source, asked)


def report(source: str, asked: argparse.Namespace) -> None:
    names, photos = read(source, asked.within, asked.half == "reporting", asked.images)
    pictures = [change(photo) for photo in photos for change in (lambda photo: photo, *KINDS.values())]
    hashes = np.array([perceptual_hash(picture) for picture in pictures], np.uint64)
    rows = np.arange(len(pictures))
    wholes = np.stack([thumbnail_of(picture) for picture in pictures])
    shapes = pd.DataFrame([picture.size for picture in pictures], columns=["width", "height"]).assign(phash=hashes)
    methods, seconds = {}, []
    for size in asked.sizes:
        pixels = np.stack([np.asarray(centred_square(picture, size)) for picture in pictures])
        by_hash = pairs_by_hash(shapes, thumbnails_of(pixels, rows), wholes, Duplicates())
        begin = time.perf_counter()
        copies = copies_by_kind(grey_pictures(pixels, rows))
        seconds.append(time.perf_counter() - begin)
        methods[f"{size} pixels"] = np.unique(np.concatenate([copies, by_hash]), axis=0)
    methods["its hash"] = by_hash
    if imagehash:
        for name, function in (("pHash", imagehash.phash), ("dHash", imagehash.dhash)):
            bits = np.stack([function(picture).hash.ravel() for picture in pictures])
            methods[name] = pairs_within(np.where(bits, 1, -1).astype(np.float32) / 8, 1 - IMAGEHASH_BITS / 32)
    methods["embedding"] = pairs_within(embeddings(pictures), COSINE)
    took = ", ".join(f"{value:.1f}" for value in seconds)
    print(f"\n{source} {asked.within}: {len(photos)} photos, {len(rows)} pictures; altered copies took {took} s")
    print(f"{'recall in %':<24}" + "".join(f"{name:>12}" for name in methods))
    for number, kind in enumerate(KINDS, start=1):
        print(f"{kind:<24}" + "".join(f"{recall(pairs, number, len(photos)):>12.1f}" for pairs in methods.values()))
    print(
        f"{'false pairs / 1,000':<24}" + "".join(f"{1000 * strangers(p) / len(rows):>12.2f}" for p in methods.values())
    )
    print("false pairs with a copy of each kind, where there are any:")
    for kind, name in enumerate(KINDS, start=1):
        counts = [strangers(pairs, kind) for pairs in methods.values()]
        if any(counts):
            print(f"  {name:<22}" + "".join(f"{count:>12}" for count in counts))
    among = {name: originals(pairs) for name, pairs in methods.items()}
    print(f"{'pairs of originals':<24}" + "".join(f"{len(pairs):>12}" for pairs in among.values()), flush=True)
    for one, other in among[f"{asked.sizes[0]} pixels"] if asked.show else ():
        print("   ", names[one], names[other])


def copies_by_kind(grey: np.ndarray) -> np.ndarray:
    """The altered copies among the photos and the copies of one kind, for each kind."""
    photos, found = np.arange(0, len(grey), len(KINDS) + 1), []
    for kind in range(1, len(KINDS) + 1):
        rows = np.concatenate([photos, photos + kind])
        found.append(np.sort(rows[altered_copies(grey[rows])], axis=1))
    return np.unique(np.concatenate(found), axis=0)


def recall(pairs: np.ndarray, kind: int, photos: int) -> float:
    """The percentage of originals paired with their copy of this kind."""
    step = len(KINDS) + 1
    first, second = pairs.T
    found = (first % step == 0) & (second - first == kind) & (first // step == second // step)
    return 100 * found.sum() / photos


def strangers(pairs: np.ndarray, kind: int | None = None) -> int:
    """How many pairs are of pictures of different photos, all or those with a copy of this kind."""
    step = len(KINDS) + 1
    apart = pairs[pairs[:, 0] // step != pairs[:, 1] // step]
    return len(apart) if kind is None else int((apart % step == kind).any(axis=1).sum())


def originals(pairs: np.ndarray) -> list[list[int]]:
    """The pairs of unaltered photos, as positions of photos."""
    step = len(KINDS) + 1
    return (pairs[(pairs % step == 0).all(axis=1)] // step).tolist()


def pairs_within(vectors: np.ndarray, cosine: float) -> np.ndarray:
    """The pairs of unit vectors (N, D) with at least this cosine."""
    return np.argwhere(np.triu(vectors @ vectors.T >= cosine - 1e-6, 1))


@torch.no_grad()
def embeddings(pictures: list[Image.Image]) -> np.ndarray:
    """Unit vectors (N, 1280), of squares of 224 pixels."""
    backbone = load_backbone(Backbone("tf_efficientnet_lite0", "package"))
    preprocess = Preprocessing(224, backbone.mean, backbone.std)
    found = []
    for start in range(0, len(pictures), 64):
        squares = np.stack([np.asarray(centred_square(picture, 224)) for picture in pictures[start : start + 64]])
        images = torch.from_numpy(squares).permute(0, 3, 1, 2) / 255
        found.append(F.normalize(embed(backbone.network, preprocess(images)), dim=1))
    return torch.cat(found).numpy()


def read(source: str, within: str, second_half: bool, images: int) -> tuple[list[str], list[Image.Image]]:
    """Every second photo of a set, in an order drawn at random."""
    with TemporaryDirectory() as folder:
        if source == "digits":
            write_mnist(Path(folder) / "nice")
            write_digits(Path(folder) / "real")
        else:
            with tarfile.open(source) as archive:
                archive.extractall(folder, filter="data")
        paths = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in SUFFIXES)
        paths = [path for path in paths if within in path.relative_to(folder).as_posix()]
        order = np.random.default_rng(0).permutation(len(paths))[second_half::2][:images]
        chosen = [paths[position] for position in order]
        return [path.relative_to(folder).as_posix() for path in chosen], [to_rgb(Image.open(path)) for path in chosen]


def encoded(picture: Image.Image, quality: int = 85, kind: str = "JPEG") -> Image.Image:
    file = io.BytesIO()
    picture.convert("RGB").save(file, kind, quality=quality)
    return Image.open(file).convert("RGB")


def scaled(picture: Image.Image, across: float, down: float) -> Image.Image:
    size = (max(1, round(picture.width * across)), max(1, round(picture.height * down)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def cut(picture: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    """Without these shares of the sides."""
    width, height = picture.size
    return picture.crop((round(width * left), round(height * top), width - round(width * right),
                         height - round(height * bottom)))  # fmt: skip


def turned(picture: Image.Image, degrees: float) -> Image.Image:
    """Turned, and cut to the largest part of the same shape without corners of the background."""
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    width, height = picture.size
    share = min(width / (width * cosine + height * sine), height / (width * sine + height * cosine))
    return cut(picture.rotate(degrees, Image.Resampling.BICUBIC), *[(1 - share) / 2] * 4)


def captioned(picture: Image.Image, below: bool) -> Image.Image:
    """With white words on a black strip of 12% of the height: over the picture, or below it."""
    width, height = picture.size
    strip = max(8, round(height * 0.12))
    result = Image.new("RGB", (width, height + strip * below), "black")
    result.paste(picture)
    top = result.height - strip
    draw = ImageDraw.Draw(result)
    draw.rectangle((0, top, width, result.height), fill="black")
    draw.text((4, top + 1), "A photograph, 2019", fill="white", font=ImageFont.load_default(size=max(7, strip * 0.7)))
    return result


def watermarked(picture: Image.Image) -> Image.Image:
    """With a half-transparent word across its middle."""
    layer = Image.new("RGBA", picture.size, (0, 0, 0, 0))
    font = ImageFont.load_default(size=max(8, picture.height * 0.16))
    centre = (picture.width / 2, picture.height / 2)
    ImageDraw.Draw(layer).text(centre, "SAMPLE", fill=(255, 255, 255, 140), anchor="mm", font=font)
    return Image.alpha_composite(picture.convert("RGBA"), layer)


def bordered(picture: Image.Image, share: float) -> Image.Image:
    return ImageOps.expand(picture, round(min(picture.size) * share), "white")


def darkened(picture: Image.Image) -> Image.Image:
    return picture.point([round(255 * (level / 255) ** 1.2) for level in range(256)] * 3)


def with_strip(picture: Image.Image, share: float) -> Image.Image:
    """With a white strip at its right."""
    return ImageOps.expand(picture, (0, 0, round(picture.width * share), 0), "white")


# Twelve kinds for which 98% are to be found, harder ones, and those that show where the search ends.
KINDS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG quality 40": lambda picture: encoded(picture, 40),
    "WebP quality 60": lambda picture: encoded(picture, 60, "WEBP"),
    "half size": lambda picture: encoded(scaled(picture, 0.5, 0.5), 75),
    "110 pixels": lambda picture: encoded(scaled(picture, *[110 / max(picture.size)] * 2)),
    "contrast 10% more": lambda picture: encoded(ImageEnhance.Contrast(picture).enhance(1.1)),
    "6% brighter": lambda picture: encoded(ImageEnhance.Brightness(picture).enhance(1.06)),
    "grey": lambda picture: encoded(ImageOps.grayscale(picture)),
    "white border 5%": lambda picture: encoded(bordered(picture, 0.05)),
    "3% cut off all sides": lambda picture: encoded(cut(picture, 0.03, 0.03, 0.03, 0.03)),
    "8% cut off one side": lambda picture: encoded(cut(picture, 0.08, 0, 0, 0)),
    "caption drawn over": lambda picture: encoded(captioned(picture, False)),
    "mirrored": lambda picture: encoded(ImageOps.mirror(picture)),
    "caption below": lambda picture: encoded(captioned(picture, True)),
    "watermark": lambda picture: encoded(watermarked(picture)),
    "gamma 1.2": lambda picture: encoded(darkened(picture)),
    "turned by 3 degrees": lambda picture: encoded(turned(picture, 3)),
    "turned by 5 degrees": lambda picture: encoded(turned(picture, 5)),
    "white border 7%": lambda picture: encoded(bordered(picture, 0.07)),
    "white border 8%": lambda picture: encoded(bordered(picture, 0.08)),
    "white border 10%": lambda picture: encoded(bordered(picture, 0.1)),
    "8% cut off all sides": lambda picture: encoded(cut(picture, 0.08, 0.08, 0.08, 0.08)),
    "25% brighter": lambda picture: encoded(ImageEnhance.Brightness(picture).enhance(1.25)),
    "10% wider": lambda picture: encoded(scaled(picture, 1.1, 1)),
    "10% narrower": lambda picture: encoded(scaled(picture, 0.9, 1)),
    "15% cut off one side": lambda picture: encoded(cut(picture, 0.15, 0, 0, 0)),
    "7% cut off two sides": lambda picture: encoded(cut(picture, 0.07, 0.07, 0, 0)),
    "10% cut off two sides": lambda picture: encoded(cut(picture, 0.1, 0.1, 0, 0)),
    "white strip of 15%": lambda picture: encoded(with_strip(picture, 0.15)),
    "14% cut off all sides": lambda picture: encoded(cut(picture, 0.14, 0.14, 0.14, 0.14)),
    "turned by 8 degrees": lambda picture: encoded(turned(picture, 8)),
    "20% wider": lambda picture: encoded(scaled(picture, 1.2, 1)),
    "50% brighter": lambda picture: encoded(ImageEnhance.Brightness(picture).enhance(1.5)),
    "squashed to a square": lambda picture: encoded(picture.resize([min(picture.size)] * 2)),
    "padded to a square": lambda picture: encoded(ImageOps.pad(picture, [max(picture.size)] * 2)),
    "a quarter turn": lambda picture: encoded(picture.transpose(Image.Transpose.ROTATE_90)),
    "upside down": lambda picture: encoded(ImageOps.flip(picture)),
}

if __name__ == "__main__":
    main()
