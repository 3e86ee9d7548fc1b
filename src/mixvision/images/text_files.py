"""Text files that people bring, whatever their encoding, and the tables in them."""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)

SEPARATORS = "\t,;"
BEGINNING = 10_000  # characters of a line that show what separates its fields
NOT_TEXT = (
    (b"PK\x03\x04", "an Excel workbook or another zip file, not a text: save it as CSV"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook, not a text: save it as CSV"),
    (b"PAR1", "a Parquet file, not a text: save it as CSV"),
    (b"MATLAB 5", "a MATLAB file, not a text: save it as CSV"),
    (b"\x89HDF", "an HDF5 file, not a text: save it as CSV"),
    (b"SQLite format", "a SQLite database, not a text: save it as CSV"),
    (b"\x1f\x8b", "compressed by gzip: unpack it"),
    (b"%PDF", "a PDF, not a text: save it as CSV"),
)
# No Western European word looks like two characters of GBK, Big5, Cyrillic or Greek, or of Shift-JIS.
_FOREIGN = re.compile(rb"[\xa1-\xff]{4}|(?:[\x82\x83][\x40-\x7e\x80-\xfc]){2}")


@dataclass(frozen=True)
class Line:
    """A line of a table.

    Args:
        number: of the line in its file, from 1; of the first, if quotation marks hold several together.
        fields: without their quotation marks.
        text: the line itself.
    """

    number: int
    fields: list[str]
    text: str


def decode_text(content: bytes, path: Path) -> str:
    """The text of a file in UTF-8, UTF-16 or UTF-32, with or without a mark of its order, or else in Windows-1252.

    Raises:
        ValueError: the file is no text, or in another encoding.
    """
    what = next((what for start, what in NOT_TEXT if content.startswith(start)), None)
    if what is not None:
        raise ValueError(f"{path} is {what}.")
    encoding = _encoding_of(content)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        if encoding != "utf-8-sig":
            raise ValueError(f"{path} looks like {encoding.upper()}, but is damaged: save it as UTF-8.") from None
        text = _decode_western(content, path)
    if "\0" in text:
        raise ValueError(f"{path} is not a text: save it as CSV in UTF-8.")
    return text


def lines_of(text: str) -> list[str]:
    """The lines of a text, ended as on any system; str.splitlines would also end them at other control characters."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def separator_of(lines: Sequence[str]) -> tuple[str, float]:
    """The sign that most lines have between their fields, and the share of the lines that have it."""
    found = {sign: sum(len(_split(line[:BEGINNING], sign)) > 1 for line in lines) for sign in SEPARATORS}
    first = lines[0] if lines else ""
    separator = max(SEPARATORS, key=lambda sign: (found[sign], first.count(sign)))
    return separator, found[separator] / max(len(lines), 1)


def split_line(line: str, separator: str, number: int, name: str) -> list[str]:
    """The fields of a single line.

    Args:
        line: without its end.
        separator: between the fields.
        number: of the line, for messages.
        name: of the file, for messages.

    Raises:
        ValueError: a field is too long.
    """
    try:
        return _split(line, separator)
    except csv.Error as error:
        raise ValueError(f"Line {number} of {name} {_fault(error)}.") from None


def read_table(text: str, separator: str, name: str) -> list[Line]:
    """The lines of a CSV file that are not empty. Fields in quotation marks may have several lines.

    Args:
        text: the file's content.
        separator: between the fields.
        name: of the file, for messages.

    Raises:
        ValueError: a quotation mark is not closed, or a field too long; the message has the number of the line.
    """
    lines = [f"{line}\n" for line in lines_of(text)]
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    table, read = [], 0
    while read < len(lines):
        try:
            fields = next(reader, [])
            if reader.line_num > read + 1:  # without `strict`, a mark that is not closed would swallow lines in silence
                together = lines[read : reader.line_num]
                next(csv.reader(together, delimiter=separator, skipinitialspace=True, strict=True))
        except csv.Error as error:
            raise ValueError(f"Line {read + 1} of {name} {_fault(error)}.") from None
        is_for_excel = read == 0 and lines[0].lower().startswith("sep=")  # names the separator
        if any(field.strip() for field in fields) and not is_for_excel:
            table.append(Line(read + 1, fields, "".join(lines[read : reader.line_num]).rstrip("\n")))
        read = reader.line_num
    return table


def require_one_line(line: Line, fields: Sequence[str], name: str) -> None:
    """Refuse names and categories of several lines: a quotation mark before them was not closed.

    Raises:
        ValueError: with the number of the line.
    """
    if any("\n" in field for field in fields):
        raise ValueError(f"Line {line.number} of {name} has a quotation mark that is not closed before its end.")


def require_no_more_fields(line: Line, most: int, name: str) -> None:
    """Refuse a line with more fields than the heading: a sign in a name would be taken for the end of the name.

    Raises:
        ValueError: with the number of the line.
    """
    if any(field.strip() for field in line.fields[most:]):
        raise ValueError(
            f"Line {line.number} of {name} is {line.text!r}, with {len(line.fields)} fields, but others have {most}: "
            "put a name that has a separator in it into quotation marks."
        )


def _split(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])


def _fault(error: csv.Error) -> str:
    if "field limit" in str(error):
        return f"has a field of over {csv.field_size_limit()} characters, perhaps as a quotation mark is not closed"
    return "has a quotation mark that is not closed before its end"


def _encoding_of(content: bytes) -> str:
    if content.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "utf-32"
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    for order, high, low in (("le", 3, 2), ("be", 0, 1)):  # characters have no more than 21 bits
        if content and len(content) % 4 == 0 and not any(content[high::4]) and max(content[low::4]) <= 0x10:
            return f"utf-32-{order}"
    if content[:400].count(0) > len(content[:400]) // 4:
        return "utf-16-le" if content[1:2] == b"\0" else "utf-16-be"
    return "utf-8-sig"


def _decode_western(content: bytes, path: Path) -> str:
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError:
        text = ""
    if not text or _FOREIGN.search(content):
        raise ValueError(f"{path} is neither in UTF-8 nor in Windows-1252 (Western European): save it as UTF-8.")
    example = next(line for line in lines_of(text) if not line.isascii())[:100]
    hint = "If that looks wrong, save it as UTF-8."
    logger.warning("%s is not UTF-8: read as Windows-1252 (Western European), such as %r. %s", path, example, hint)
    return text
