"""Groups: which images of a source show the same object, scene, person or day, and so must stay in one split."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

import pandas as pd

from mixvision.images.file_tables import FileTable, look_up
from mixvision.suggestions import suggestion

logger = logging.getLogger(__name__)

EXIF = ("camera", "day")

# Fruits-360 turns each fruit before the camera, about one axis or several. Files are [name_][axis_]frame_size.jpg,
# with the axis r, r2, ... or none: "Apple Red 1/r2_7_100.jpg" in its archive, "Apple/apple-red-1_r2_7_100.jpg" where
# one folder holds several varieties.
READY_MADE = {
    "fruits-360": r"(?:^|/)(?P<group>[^/]+/(?:[^/]+?(?=_))??)_?(?:r\d*_)?\d+_\d+\.\w+$",
    "fruits-360 series": r"(?:^|/)(?P<group>[^/]+/(?:[^/]+?_)??(?:r\d*_)?)\d+_\d+\.\w+$",
}


@dataclass(frozen=True)
class Groups:
    """How the images of one source are grouped: by `pattern`, by `table`, `file` and `group`, or by `exif`.

    Args:
        pattern: a regular expression with a part called group, searched in the path below the source's root.
        table: a CSV file below the source's root, or relative to the project; separated by commas, semicolons or tabs.
        file: its column with paths below the root, or with file names if they are unique.
        group: its column with the groups.
        exif: "camera" (maker and model), "day" (when the picture was taken), or both.
    """

    pattern: str | None = None
    table: str | None = None
    file: str | None = None
    group: str | None = None
    exif: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        of_table = (self.table, self.file, self.group)
        forms = (self.pattern is not None, any(part is not None for part in of_table), bool(self.exif))
        if sum(forms) != 1 or None in of_table[: 3 * forms[1]]:
            given = ", ".join(name for name, value in vars(self).items() if value) or "nothing"
            raise ValueError(
                f"group gives {given}, but must give either pattern, or table, file and group together, or exif."
            )
        if self.pattern is not None:
            _require_group(self.pattern)
        if not set(self.exif) <= set(EXIF):
            raise ValueError(f"group.exif is {list(self.exif)}, but must be a list of {' and '.join(EXIF)}, or of one.")


def read_groups(given: str | Mapping[str, object] | None) -> Groups | None:
    """The rule that a source's setting `group` describes: null, a ready-made name or a mapping, as for `Groups`.

    Raises:
        ValueError: it is none of these; the message says what is allowed.
    """
    if given is None:
        return None
    if isinstance(given, str):
        if given not in READY_MADE:
            names = ", ".join(map(repr, READY_MADE))
            raise ValueError(
                f"group is {given!r}, but must be one of {names}, or a mapping with pattern, table or exif."
            )
        return Groups(pattern=READY_MADE[given])
    if not isinstance(given, Mapping):
        raise ValueError(f"group is {given!r}, but must be a mapping of pattern; of table, file and group; or of exif.")
    known = vars(Groups(exif=EXIF)).keys()
    for name in given.keys() - known:
        raise ValueError(f"group has no {name!r}: {suggestion(str(name), known)}")
    exif = given.get("exif") or ()
    named = [exif] if isinstance(exif, str) else list(exif)  # type: ignore[call-overload]
    texts = {name: None if value is None else str(value) for name, value in given.items() if name != "exif"}
    return Groups(**texts, exif=tuple(map(str, named)))


def group_images(inventory: pd.DataFrame, groups: Groups | None, root: Path, domain: str) -> pd.Series:
    """The group of every image; "" if it has none, and is a group of its own.

    Groups do not depend on the category: one day, or one person, may cover several. They hold within one domain.

    Args:
        inventory: columns path, category ("" outside the layout: such files have no group), camera, taken.
        groups: the rule, or None.
        root: the folder that the paths are relative to.
        domain: for messages.

    Raises:
        FileNotFoundError, ValueError: the table cannot be used, or the rule groups no image at all.
    """
    found = pd.Series("", index=inventory.index, dtype=str)
    placed = inventory[inventory["category"] != ""]
    if groups is None or placed.empty:
        return found
    if groups.exif:
        parts = {"camera": placed["camera"], "day": placed["taken"].str[:10]}
        chosen = pd.DataFrame({name: parts[name] for name in groups.exif})
        found[placed.index] = chosen.agg(" ".join, axis=1).where((chosen != "").all(axis=1), "")
    else:
        paths = placed["path"].tolist()
        if groups.pattern is not None:
            found[placed.index] = _by_pattern(paths, groups.pattern)
        else:
            table = FileTable("group", str(groups.table), str(groups.file), str(groups.group))
            found[placed.index] = look_up(paths, table, root, domain)
    alone = placed.loc[found[placed.index] == "", "path"]
    if len(alone) == len(placed):
        raise ValueError(
            f"group of the {domain!r} source finds no group for any of its {len(placed)} images, such as "
            f"{placed['path'].iloc[0]}: correct {domain}.group in globals.yml of your environment, or set it to null."
        )
    logger.info("%s: %d images in %d groups.", domain, len(placed) - len(alone), found[found != ""].nunique())
    if len(alone):
        text = "%s: images without a group: %d, such as %s. Each counts as a group of its own."
        logger.warning(text, domain, len(alone), alone.iloc[0])
    return found


def _by_pattern(paths: Iterable[str], expression: str) -> list[str]:
    pattern = re.compile(normalize("NFC", expression))
    matches = (pattern.search(normalize("NFC", path)) for path in paths)
    return [(match["group"] or "") if match else "" for match in matches]


def _require_group(expression: str) -> None:
    advice = "it must be a regular expression with one part called group, such as '(?P<group>[^/]+)_\\d+'."
    try:
        parts = re.compile(expression).groupindex
    except re.error as error:
        raise ValueError(f"group.pattern is {expression!r}, but {error}: {advice}") from None
    if "group" not in parts:
        raise ValueError(f"group.pattern is {expression!r}, but no part of it is called group: {advice}")
