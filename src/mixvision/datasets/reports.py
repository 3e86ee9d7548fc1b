"""Pictures, figures, texts and pages that kedro-viz can preview; ABSENT stands for one that a run lacks."""

from __future__ import annotations

import base64
import html
import io
import re
from enum import Enum
from pathlib import Path

import plotly.graph_objects as go
from kedro_datasets._typing import HTMLPreview, ImagePreview, PlotlyPreview
from kedro_datasets.pillow import ImageDataset
from kedro_datasets.plotly import JSONDataset
from kedro_datasets.text import TextDataset
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mixvision.datasets.previews import described
from mixvision.files import replacing_file
from mixvision.reporting.page import with_remark
from mixvision.reporting.scripts import SCRIPT_NAME, script, self_contained

LARGEST_PREVIEW = (1600, 1600)


class Absent(Enum):
    """What a node returns if it has nothing for an output, since Kedro saves no None. It is loaded as None."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT


class FigureDataset(JSONDataset):
    """A Plotly figure as JSON; ``null`` if it is absent."""

    def load(self) -> go.Figure | None:
        return super().load() if self.preview() else None

    def save(self, data: go.Figure | Absent) -> None:
        if data is not ABSENT:
            super().save(data)
            return
        with self._fs.open(self._get_save_path(), "w") as file:
            file.write("null")
        self._invalidate_cache()

    def preview(self) -> PlotlyPreview:
        """The figure as a dictionary, empty if it is absent."""
        return PlotlyPreview(super().preview() or {})


class PictureDataset(ImageDataset):
    """A Pillow image, saved in the format of its file name and previewed in kedro-viz; an empty file if absent."""

    def load(self) -> Image.Image | None:
        return super().load() if self._fs.size(self._get_load_path()) else None

    def save(self, data: Image.Image | Absent) -> None:
        path = self._get_save_path()
        with self._fs.open(path, "wb") as file:  # opening truncates
            if isinstance(data, Image.Image):
                data.save(file, self._get_format(path), **self._save_args | _texts(data))
        self._invalidate_cache()

    def preview(self) -> ImagePreview:
        """The picture as base64 of a PNG, reduced if a side exceeds 1,600 pixels; empty if absent."""
        picture = self.load()
        if picture is None:
            return ImagePreview("")
        picture.thumbnail(LARGEST_PREVIEW)
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        return ImagePreview(base64.b64encode(buffer.getvalue()).decode())


def _texts(picture: Image.Image) -> dict[str, PngInfo]:
    """The texts that belong to a picture, for Pillow to save in a PNG: it reads them, but does not write them."""
    texts = PngInfo()
    for key, value in picture.info.items():
        if isinstance(value, str):
            texts.add_itxt(str(key), value)
    return {"pnginfo": texts}


class TextReportDataset(TextDataset):
    """A text, previewed in kedro-viz: HTML without its scripts and styles, anything else as it stands."""

    def preview(self) -> HTMLPreview:
        """The text as HTML; kedro-viz runs no scripts, so figures need datasets of their own."""
        text = self.load()
        if self._filepath.suffix != ".html":
            return HTMLPreview(described(self.metadata, f"<pre>{html.escape(text)}</pre>"))
        return HTMLPreview(described(self.metadata, re.sub(r"(?s)<(script|style)\b.*?</\1>", "", text)))


class PageDataset(TextReportDataset):
    """A page as HTML; the script that draws the figures of all pages is saved once, in the folder above the page's.

    A hook can set a remark, which the page then shows above its answer.
    """

    remark = ""

    def save(self, data: str) -> None:
        path = Path(self._filepath).parents[1] / SCRIPT_NAME
        if SCRIPT_NAME in data and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing_file(path) as partial:
                partial.write_text(script(), encoding="utf-8")
        super().save(with_remark(data, self.remark))

    def alone(self) -> str:
        """The page as it can be sent or logged: with the script inside."""
        return self_contained(self.load())
