"""Which terms of the glossary a page uses and which it explains, read from its HTML, for tests of pages."""

from __future__ import annotations

import html
import re

from mixvision.reporting.glossary import GLOSSARY


def require_explained_terms(page: str) -> None:
    """Fail if the page uses a term that it does not explain right below its summary, or explains one for nothing."""
    body = page[page.index("<body>") :]
    summary, _, rest = body.partition('<details class="terms" open>')
    terms, _, rest = rest.partition("</details>")
    assert rest.lstrip().startswith("<nav"), "the terms are not between the summary and the contents"
    explained = dict(re.findall(r"<dfn>(.*?)</dfn>: (.*?)</li>", html.unescape(terms)))
    assert explained == {name: GLOSSARY[name].meaning for name in explained}
    used = _used(_visible(summary + rest))
    assert used <= set(explained), f"used but not explained: {used - set(explained)}"
    for name in set(explained) - used:
        others = " ".join(meaning for other, meaning in explained.items() if other != name)
        assert name in _used(others), f"explained but not used: {name}"
    assert _used(" ".join(explained.values())) <= set(explained), "an explanation uses a term that is not explained"


def _visible(text: str) -> str:
    """Texts, labels, alternative texts and the strings in figures, without images, arrays and JSON's keys."""
    labelled = re.sub(r'<[^>]*? (?:alt|aria-label)="([^"]*)"[^>]*>', r" \1 ", text)
    return html.unescape(re.sub(r'"bdata":"[^"]*"|"\w+":|<[^>]*>|\\u00..', " ", labelled))


def _used(text: str) -> set[str]:
    return {name for name, term in GLOSSARY.items() if re.search(term.pattern, text, re.IGNORECASE)}
