"""The script that draws figures: one file beside all pages of a study, or inside a page that goes elsewhere alone."""

from __future__ import annotations

from markupsafe import Markup
from plotly.offline import get_plotlyjs, get_plotlyjs_version

SCRIPT_NAME = f"plotly-{get_plotlyjs_version()}.min.js"
SCRIPT_TAG = Markup(f'<script src="../{SCRIPT_NAME}"></script>')


def script() -> str:
    """The script's text."""
    return get_plotlyjs()


def self_contained(html: str) -> str:
    """The page with the script inside, so that it needs no other file; a page without figures stays as it is."""
    return html.replace(SCRIPT_TAG, f"<script>{script()}</script>", 1)
