"""The tiles of a contact sheet: where each image is and what stands under it, so that a page can arrange them anew.

A sheet is one picture with its labels drawn in. What it holds is kept in the picture's own texts (a PNG saves them).
So a page can show each image with its label as text, as many beside each other as fit.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from PIL import Image

_KEY = "tiles"


@dataclass(frozen=True)
class Tile:
    """One image on a sheet.

    Attributes:
        box: left, top, right and bottom, in pixels of the sheet.
        domain: of the image.
        caption: lines of text.
        group: heading of the tiles that belong together, or "".
    """

    box: Sequence[int]
    domain: str
    caption: Sequence[str] = ()
    group: str = ""


def with_tiles(sheet: Image.Image, tiles: Sequence[Tile]) -> Image.Image:
    """The sheet, which now knows its tiles."""
    sheet.info[_KEY] = json.dumps([asdict(tile) for tile in tiles])
    return sheet


def tiles_by_group(sheet: Image.Image) -> dict[str, list[Tile]]:
    """The tiles of a sheet by their group, in their order; none if it is a picture like any other."""
    groups: dict[str, list[Tile]] = {}
    for values in json.loads(sheet.info.get(_KEY, "[]")):
        tile = Tile(**values)
        groups.setdefault(tile.group, []).append(tile)
    return groups
