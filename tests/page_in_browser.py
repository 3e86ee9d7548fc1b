"""What a person needs of a page, looked at in a browser: at a desk and on a phone, in daylight and in the dark."""

from __future__ import annotations

import json
from pathlib import Path

from browser import Browser

from mixvision.reporting.scripts import SCRIPT_NAME, script

# axe-core finds what keeps people out; without it (see package.json there) this part is left out.
AXE = Path(__file__).parent / "axe" / "node_modules" / "axe-core" / "axe.min.js"
CUT = """[...document.querySelectorAll("main *")].filter(part => !part.closest(".scroll, [popover], svg")
  && part.getBoundingClientRect().right > innerWidth + 1).map(part => part.outerHTML.slice(0, 200))"""
FIGURES = """[...document.querySelectorAll(".plot")].map(plot => {
  const drawing = plot.querySelector("svg.main-svg");
  if (!drawing || plot.querySelector(".missing")) return false;
  const [inner, outer] = [drawing, plot].map(part => part.getBoundingClientRect());
  return inner.width <= innerWidth && inner.bottom <= outer.bottom + 1; })"""
OPENED = """(() => { const button = document.querySelector("button.term"); if (!button) return "no term";
  button.focus(); button.click(); const shown = document.querySelector("[popover]:popover-open"); if (!shown) return "";
  const text = shown.textContent; shown.hidePopover(); return text; })()"""
OVERLAPPING = """[...document.querySelectorAll(".plot")].flatMap(plot => {
  const [labels, ticks] = [".annotation-text", ".xtick text, .ytick text"].map(kind =>
    [...plot.querySelectorAll(kind)].map(label => [label, label.getBoundingClientRect()]));
  return labels.flatMap(([label, one], place) => [...labels.slice(place + 1), ...ticks].filter(([_, other]) =>
    Math.min(one.right, other.right) - Math.max(one.left, other.left) > 2
    && Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top) > 2)
    .map(([other]) => label.textContent + " and " + other.textContent)); })"""
APART = """[...document.querySelectorAll("button.term")].filter(button =>
  [[button.previousSibling, -1], [button.nextSibling, 0]].some(([text, place]) => {
    if (text?.nodeType !== Node.TEXT_NODE || !text.length) return false;
    const start = place ? text.length - 1 : 0, range = new Range();
    range.setStart(text, start); range.setEnd(text, start + 1);
    const [letter, inner] = [range, button].map(part => part.getBoundingClientRect());
    return range.toString().trim() && (letter.bottom < inner.top + 2 || letter.top > inner.bottom - 2); }))
  .map(button => button.parentElement.textContent)"""
SHEET = 700  # pixels of A4 or letter between usual margins
WIDE = """[...document.querySelectorAll("table, .plot svg")]
  .filter(part => part.getBoundingClientRect().right > innerWidth + 1).map(part => part.textContent.slice(0, 100))"""
INNER = """[...document.querySelectorAll(".plot")].map(plot => Math.round(plot._fullLayout._size.h))"""
INK = """[...document.querySelectorAll(".plot")].map(plot => plot._fullLayout.font.color)"""


def require_readable(browser: Browser, html: str, folder: Path) -> None:
    """Fail unless a page is whole at both widths, asks for no address, has no error, and can be used by anyone."""
    (folder / SCRIPT_NAME).write_text(script(), encoding="utf-8")
    (folder / "page").mkdir()
    file = folder / "page" / "page.html"
    file.write_text(html, encoding="utf-8")
    browser.open(file, 1400)
    for width, dark in ((1400, False), (390, True)):
        browser.resize(width, dark)
        assert browser.run("document.documentElement.scrollWidth") == width, "the page scrolls sideways"
        assert not browser.run(CUT), "something is cut"
        assert all(browser.run(FIGURES)), "a figure is not drawn, wider than the screen, or over what follows"
        assert not browser.run(OVERLAPPING), "labels in a figure overlap"
        assert not browser.run(APART), "a line breaks between a term and the bracket or comma beside it"
        assert set(browser.run(INK)) <= {"#e8ebee" if dark else "#1d232a"}
        assert browser.run(OPENED), "the meaning of a term does not open"
        assert not browser.complaints
        assert {Path(address).name for address in browser.requests} <= {"page.html", SCRIPT_NAME}
        if AXE.exists():
            assert not violations(browser)
    resized = browser.run(INNER)
    browser.open(file, 390)
    assert resized == browser.run(INNER), "a figure that was drawn at a desk first looks different on a phone"
    require_printable(browser)


def require_printable(browser: Browser) -> None:
    """Fail unless tables and figures fit on paper, also for a reader of the dark page."""
    browser.resize(SHEET, dark=True, media="print")
    browser.run("dispatchEvent(new Event('beforeprint')); window.figuresDrawn.then(() => true)")
    assert not browser.run(WIDE), "a table or a figure is wider than a sheet"
    assert not browser.run(OVERLAPPING), "labels in a figure overlap on paper"
    assert set(browser.run(INK)) <= {"#1d232a"}


def violations(browser: Browser) -> list[str]:
    """What axe-core calls serious or critical."""
    browser.run(AXE.read_text(encoding="utf-8") + "; true")
    found = json.loads(browser.run("axe.run().then(result => JSON.stringify(result.violations))"))
    return [
        f"{entry['id']}: {entry['help']}: {entry['nodes'][0]['html'][:200]}"
        for entry in found
        if entry["impact"] in ("serious", "critical")
    ]
