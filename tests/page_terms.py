"""Which terms of the glossary a page uses, where it explains them, and which it lists, for tests of pages."""

from __future__ import annotations

import html
import re

from mixvision.reporting.glossary import GLOSSARY

BUTTON = r'<button type="button" class="term" popovertarget="([\w-]+)">(.*?)</button>'


def require_explained_terms(page: str) -> None:
    """Fail unless every term that a page uses is explained once, where it is first used, and listed at the end."""
    body = page[page.index("<h1>") :]
    text, _, rest = body.partition('<dl class="terms">')
    listed = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", html.unescape(rest.partition("</dl>")[0])))
    assert listed == {name: GLOSSARY[name].meaning for name in listed}
    used = _used(_visible(text))
    assert used <= set(listed), f"used but not listed: {used - set(listed)}"
    for name in set(listed) - used:
        others = " ".join(meaning for other, meaning in listed.items() if other != name)
        assert name in _used(others), f"listed but not used: {name}"
    meanings = dict(re.findall(r'<div popover id="([\w-]+)"><b>(.*?)</b>', html.unescape(rest)))
    buttons = [meanings[place] for place, _ in re.findall(BUTTON, text)]
    assert len(buttons) == len(set(buttons)), "a term is explained twice"
    assert used - set(buttons) <= _used(_of_title(page)), f"not explained where they are used: {used - set(buttons)}"
    for name in buttons:
        before = _sentences(text[: text.index(f'popovertarget="{_place(meanings, name)}"')])
        assert name not in _used(before), f"{name} is used before it is explained"


def _sentences(text: str) -> str:
    """What was shown before a button, without title, contents, figures' data, and the sentence of the button."""
    without = re.sub(r"(?s)<h1>.*?</h1>|<nav.*?</nav>|<script.*?</script>", " ", text)
    ends = [match.start() for match in re.finditer(r"<(?:p|t[hd]|li|d[td]|h3|caption|figcaption)\b", without)]
    shown = re.sub(r"</?(?:button|span|b)\b[^>]*>", "", without[: ends[-1]])
    return html.unescape(re.sub(r"<[^>]*>", " ", shown))


def _place(meanings: dict[str, str], name: str) -> str:
    return next(place for place, other in meanings.items() if other == name)


def _of_title(page: str) -> str:
    return re.search(r"<h1>(.*?)</h1>", page).group(1)


def _visible(text: str) -> str:
    """Texts, labels, alternative texts and the strings in figures, without images, arrays and JSON's keys."""
    labelled = re.sub(r'<[^>]*? (?:alt|aria-label)="([^"]*)"[^>]*>', r" \1 ", text)
    joined = re.sub(r"</?(button|span|b)\b[^>]*>", "", labelled)
    return html.unescape(re.sub(r'"bdata":"[^"]*"|"\w*mode":"[^"]*"|"\w+":|<[^>]*>|\\u00..', " ", joined))


def _used(text: str) -> set[str]:
    return {name for name, term in GLOSSARY.items() if re.search(term.pattern, text, re.IGNORECASE)}
