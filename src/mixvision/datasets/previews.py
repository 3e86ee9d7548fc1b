"""What kedro-viz shows of a dataset that is no table, figure or picture: its description in the catalog.

kedro-viz has no place for ``metadata: {description: ...}`` but the preview. Tables keep kedro-viz's own preview: it
would read HTML as Markdown, in which ``best_test`` and ``real_top1`` lose their underscores.
"""

from __future__ import annotations

import html
from typing import Any

from kedro_datasets._typing import HTMLPreview


class Described:
    """For datasets that hold nothing to show at a glance: their preview is the description."""

    metadata: dict[str, Any] | None

    def preview(self) -> HTMLPreview:
        """The description in the catalog."""
        return HTMLPreview(described(self.metadata))


def described(metadata: dict[str, Any] | None, content: str = "") -> str:
    """The description as a paragraph of HTML, if there is one, with other HTML below it."""
    description = (metadata or {}).get("description")
    return (f"<p>{html.escape(description)}</p>" if description else "") + content
