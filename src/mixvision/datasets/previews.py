"""What kedro-viz shows of a dataset that is no table, figure or picture: its description in the catalog, and images.

kedro-viz has no place for ``metadata: {description: ...}`` but the preview. Tables keep kedro-viz's own preview: it
would read HTML as Markdown, in which ``best_test`` and ``real_top1`` lose their underscores.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from kedro_datasets._typing import HTMLPreview
from PIL import Image

WIDTH = 366  # in pixels, of the panel beside the flowchart
ACROSS, SIDE, GAP = 8, 44, 2  # of tiles: as many and as large as it has room for


class Described:
    """For datasets that hold nothing to show at a glance: their preview is the description."""

    metadata: dict[str, Any] | None

    def preview(self) -> HTMLPreview:
        """The description in the catalog."""
        return HTMLPreview(described(self.metadata))


def described(metadata: dict[str, Any] | None, content: str = "") -> str:
    """The description as a paragraph of HTML, if there is one, with other HTML below it.

    It is narrow enough for kedro-viz's panel, which would cut the lines.
    """
    description = (metadata or {}).get("description")
    return (f'<p style="max-width: {WIDTH}px">{html.escape(description)}</p>' if description else "") + content


def tiled(images: Sequence[np.ndarray]) -> str:
    """Some images (S, S, 3) as one picture, in HTML."""
    step = SIDE + GAP
    size = (ACROSS * step - GAP, -(-len(images) // ACROSS) * step - GAP)
    picture, buffer = Image.new("RGBA", size), io.BytesIO()
    for place, image in enumerate(images):
        tile = Image.fromarray(image).resize((SIDE, SIDE))
        picture.paste(tile, (place % ACROSS * step, place // ACROSS * step))
    picture.save(buffer, "PNG")
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}">'
