"""Texts of any encoding are read rightly or refused, and a table's faults are named by line."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

from mixvision.images.text_files import Line, decode_text, read_table

PATH = Path("labels.csv")
WESTERN = "file,label\n0.jpg,açaí\n1.jpg,P\u0153che\n2.jpg,10 €\n"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", *(f"utf-{n}{order}" for n in (16, 32) for order in ("", "-le", "-be"))]
)
def test_unicode_of_every_width(encoding):
    for text in (WESTERN, "0.jpg,苹果\n1.jpg,香蕉\n"):
        assert decode_text(text.encode(encoding), PATH).lstrip("\ufeff") == text


def test_western_european_is_read_with_a_warning_that_shows_a_line(caplog):
    with caplog.at_level(logging.WARNING):
        assert decode_text(WESTERN.encode("cp1252"), PATH) == WESTERN
    assert "read as Windows-1252 (Western European), such as '0.jpg,açaí'" in caplog.text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        *((f"0.jpg,{letter}a\n", "cp1252") for letter in "\x81\x8d\x8f\x90\x9d"),
        ("0.jpg,èa\n1.jpg,ça\n", "mac-roman"),
        ("0.jpg,苹果\n1.jpg,香蕉\n", "gbk"),
        ("0.jpg,リンゴ\n1.jpg,梨\n", "shift-jis"),
        ("0.jpg,яблоко\n", "cp1251"),
    ],
)
def test_other_encodings_are_refused(text, encoding):
    content = text.encode("latin-1" if encoding == "cp1252" else encoding)
    with pytest.raises(ValueError, match=r"labels\.csv is neither in UTF-8 nor in Windows-1252 .*: save it as UTF-8"):
        decode_text(content, PATH)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"PK\x03\x04" + bytes(100), "is an Excel workbook or another zip file, not a text: save it as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100), "is an old Excel workbook"),
        (b"MATLAB 5.0 MAT-file", "is a MATLAB file"),
        (b"\x1f\x8b\x08\0", "is compressed by gzip: unpack it"),
        ("a,b\n".encode("utf-16") + b"\0", "looks like UTF-16, but is damaged"),
        (b"0.jpg,a\n\0\0", "is not a text"),
    ],
)
def test_what_is_no_text_is_named(content, what):
    with pytest.raises(ValueError, match=re.escape(f"labels.csv {what}")):
        decode_text(content, PATH)


def test_lines_have_numbers_and_may_hold_line_breaks():
    table = read_table('a,b\r\n\r\n1,"x\r\ny"\r\n2, z\x85z\r\n', ",", "t")
    assert table == [
        Line(1, ["a", "b"], "a,b"), Line(3, ["1", "x\ny"], '1,"x\ny"'), Line(5, ["2", "z\x85z"], "2, z\x85z")
    ]  # fmt: skip


@pytest.mark.parametrize("rest", ["", "4,b\n", '4,"b"\n', '4,"b"\n5,c\n', "4," + "b" * 200_000 + "\n"])
def test_a_quotation_mark_that_is_not_closed_is_named(rest):
    with pytest.raises(ValueError, match="Line 3 of the labels x has a (quotation mark|field of over 131072 char)"):
        read_table(f'1,"a"\n2,5" nail\n3,"b\n{rest}', ",", "the labels x")
