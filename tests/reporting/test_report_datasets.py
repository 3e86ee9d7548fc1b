"""The datasets save, load and give kedro-viz previews of the kinds it knows."""

from __future__ import annotations

import base64
import inspect
import io
import json

import plotly.graph_objects as go
from PIL import Image

from mixvision.datasets.models import FolderDataset
from mixvision.datasets.reports import ABSENT, FigureDataset, PageDataset, PictureDataset, TextReportDataset
from mixvision.reporting.page import Page, Section, render_page
from mixvision.reporting.scripts import SCRIPT_NAME
from mixvision.reporting.tiles import Tile, tiles_by_group, with_tiles


def test_picture_preview_is_a_png_no_larger_than_needed(tmp_path):
    dataset = PictureDataset(filepath=str(tmp_path / "new" / "sheet.png"))
    dataset.save(Image.new("RGB", (3200, 800), "red"))
    assert dataset.load().size == (3200, 800)
    preview = Image.open(io.BytesIO(base64.b64decode(dataset.preview())))
    assert (preview.format, preview.size) == ("PNG", (1600, 400))
    assert str(inspect.signature(dataset.preview).return_annotation).endswith("ImagePreview")


def test_html_preview_leaves_out_scripts_and_styles(tmp_path):
    dataset = TextReportDataset(filepath=str(tmp_path / "page.html"))
    page = "<style>p{}</style><p>kept</p><script>\nlost()</script><script type='x'>lost()</script>"
    dataset.save(page)
    assert dataset.load() == page
    assert dataset.preview() == "<p>kept</p>"
    assert str(inspect.signature(dataset.preview).return_annotation).endswith("HTMLPreview")


def test_markdown_preview_is_shown_as_it_stands(tmp_path):
    dataset = TextReportDataset(filepath=str(tmp_path / "table.md"))
    dataset.save("| a<b |")
    assert dataset.preview() == "<pre>| a&lt;b |</pre>"


def test_plotly_figures_can_be_previewed(tmp_path):
    dataset = FigureDataset(filepath=str(tmp_path / "figure.json"))
    dataset.save(go.Figure(go.Scatter(x=[0, 1], y=[0.5, 0.25])))
    assert dataset.load().data[0].y == (0.5, 0.25)
    assert json.dumps(dataset.preview()["data"][0]["x"]) == "[0, 1]"


def test_what_is_absent_is_loaded_as_none_and_has_no_preview(tmp_path):
    figure, picture = FigureDataset(filepath=str(tmp_path / "a.json")), PictureDataset(filepath=str(tmp_path / "a.png"))
    for dataset, present in ((figure, go.Figure(go.Scatter(y=[1]))), (picture, Image.new("RGB", (4, 4)))):
        dataset.save(present)
        dataset.save(ABSENT)
        assert dataset.exists() and dataset.load() is None and not dataset.preview()
        dataset.save(present)
        assert dataset.load() is not None


def test_the_catalogs_description_is_shown_above_a_text(tmp_path):
    about, described = {"description": "The answer."}, '<p style="max-width: 366px">The answer.</p>'
    dataset = TextReportDataset(filepath=str(tmp_path / "summary.md"), metadata=about)
    dataset.save("50%")
    assert dataset.preview() == described + "<pre>50%</pre>"
    assert FolderDataset(str(tmp_path), metadata=about).preview() == described


def test_the_script_of_figures_is_saved_once_beside_the_pages(tmp_path):
    page = Page("t", "q", "a", evidence=[Section("s", figures=[go.Figure(go.Scatter(y=[1]))])])
    datasets = [PageDataset(filepath=str(tmp_path / pipeline / "page.html")) for pipeline in ("mixing", "leakage")]
    for dataset in datasets:
        dataset.save(render_page(page))
    assert [path.name for path in tmp_path.glob("*.*")] == [SCRIPT_NAME]
    assert (tmp_path / "mixing" / f"../{SCRIPT_NAME}").read_text(encoding="utf-8").count("plotly.js v") == 1
    assert datasets[0].alone().count("plotly.js v") == 1 and datasets[0].load() == render_page(page)
    plain = PageDataset(filepath=str(tmp_path / "other" / "ingestion" / "page.html"))
    plain.save(render_page(Page("t", "q", "a")))
    assert not list((tmp_path / "other").glob("*.*")), "a page without figures needs no script"


def test_a_contact_sheet_keeps_its_tiles(tmp_path):
    dataset, tile = (
        PictureDataset(filepath=str(tmp_path / "sheet.png")),
        Tile([0, 0, 4, 4], "nice", ["is \N{CHECK MARK}"]),
    )
    dataset.save(with_tiles(Image.new("RGB", (4, 4)), [tile]))
    assert tiles_by_group(dataset.load()) == {"": [tile]}
