"""Pictures and texts that kedro-viz can preview."""

from __future__ import annotations

import base64
import html
import io
import re

from kedro_datasets._typing import HTMLPreview, ImagePreview
from kedro_datasets.pillow import ImageDataset
from kedro_datasets.text import TextDataset

LARGEST_PREVIEW = (1600, 1600)


class PictureDataset(ImageDataset):
    """A Pillow image, saved in the format of its file name and previewed in kedro-viz."""

    def preview(self) -> ImagePreview:
        """The picture as base64 of a PNG, made smaller where a side exceeds 1,600 pixels."""
        picture = self.load()
        picture.thumbnail(LARGEST_PREVIEW)
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        return ImagePreview(base64.b64encode(buffer.getvalue()).decode())


class TextReportDataset(TextDataset):
    """A text, previewed in kedro-viz: HTML without its scripts and styles, anything else as it stands."""

    def preview(self) -> HTMLPreview:
        """The text as HTML; kedro-viz shows no script, so figures belong in datasets of their own."""
        text = self.load()
        if self._filepath.suffix != ".html":
            return HTMLPreview(f"<pre>{html.escape(text)}</pre>")
        return HTMLPreview(re.sub(r"(?s)<(script|style)\b.*?</\1>", "", text))
