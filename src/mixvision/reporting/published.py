"""Published numbers that reports compare with ours: a section for each study that repeats one, checked when read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar

import yaml

from mixvision.vocabulary import METRICS, SPLITS

BASELINE_SETTINGS = ("batch_size", "learning_rate", "dropout", "augmentation")

Row = Mapping[str, Any]


@dataclass(frozen=True)
class PublishedSection:
    """Published numbers of one study.

    Attributes:
        source: where they were published.
        note: what to know about them.

    Raises:
        ValueError: a value is invalid; every kind of section raises this.
    """

    name: ClassVar[str]

    source: str
    note: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.source, str) or not self.source:
            raise ValueError(f"{self.name}.source is {self.source!r}; say where the numbers were published.")
        if not isinstance(self.note, str):
            raise ValueError(f"{self.name}.note is {self.note!r}; give some text, or leave it out.")

    @property
    def origin(self) -> str:
        """Source and note as sentences."""
        return f"{self.source}. {self.note}".strip()


@dataclass(frozen=True)
class PublishedMixing(PublishedSection):
    """Accuracies of mixed training: rows of ``ratio`` (per cent real) and any of :data:`METRICS`, fractions."""

    name = "mixing"

    rows: Sequence[Row] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        for place, row in enumerate(_require_rows(self)):
            _require_keys(f"mixing.rows[{place}]", row, needed=["ratio"], allowed=METRICS)
            _require_number(f"mixing.rows[{place}].ratio", row["ratio"], "a share from 0 to 100 per cent", highest=100)
            _require_fractions(f"mixing.rows[{place}]", {name: row[name] for name in row if name != "ratio"})
        ratios = [row["ratio"] for row in self.rows]
        if len(set(ratios)) < len(ratios):
            raise ValueError(f"mixing.rows have the ratios {ratios}; give each ratio once.")


@dataclass(frozen=True)
class PublishedIterative(PublishedSection):
    """Iterative training, nice images first: fractions, each None where it is not published.

    Attributes:
        highest_performance: of any share.
        accuracy_at_switch: on nice images, at the end of the initial training.
        accuracy_after_200: the same after 200 iterations of the restricted training.
    """

    name = "iterative"

    highest_performance: float | None = None
    accuracy_at_switch: float | None = None
    accuracy_after_200: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        names = ("highest_performance", "accuracy_at_switch", "accuracy_after_200")
        _require_fractions("iterative", {name: getattr(self, name) for name in names}, optional=True)

    @property
    def forgetting(self) -> tuple[float, float] | None:
        """Accuracy on nice images at the switch and 200 iterations later, if both are published."""
        if self.accuracy_at_switch is None or self.accuracy_after_200 is None:
            return None
        return self.accuracy_at_switch, self.accuracy_after_200


@dataclass(frozen=True)
class PublishedTuning(PublishedSection):
    """The best setting: ``learning_rate`` and ``l2``."""

    name = "tuning"

    learning_rate: float = field(kw_only=True)
    l2: float = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("learning_rate", "l2"):
            _require_number(f"tuning.{name}", getattr(self, name), "a number of 0 or more")


@dataclass(frozen=True)
class PublishedBaselines(PublishedSection):
    """Accuracies of simple models.

    Attributes:
        base: the published base settings, each of :data:`BASELINE_SETTINGS`.
        rows: each names its ``model`` and the settings that differ from the base, and holds accuracies (fractions) of
            any of :data:`SPLITS`.
        image_size: side of the images in pixels, or None.
        training_images: how many, or None.
    """

    name = "baselines"

    base: Mapping[str, Any] = field(kw_only=True)
    rows: Sequence[Row] = ()
    image_size: int | None = None
    training_images: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.base, Mapping) or set(self.base) != set(BASELINE_SETTINGS):
            needed = ", ".join(BASELINE_SETTINGS)
            raise ValueError(f"baselines.base is {self.base!r}; the rows only say what differs, so it needs {needed}.")
        _require_settings("baselines.base", self.base)
        for place, row in enumerate(_require_rows(self)):
            where = f"baselines.rows[{place}]"
            _require_keys(where, row, needed=["model"], allowed=[*BASELINE_SETTINGS, *SPLITS])
            _require_settings(where, row)
            _require_fractions(where, {name: row[name] for name in SPLITS if name in row})
        _require_counts(self, "image_size", "training_images")


@dataclass(frozen=True)
class PublishedTransfer(PublishedSection):
    """Accuracies of pretrained networks.

    Attributes:
        rows: each names its ``model`` and may name its ``method``; all else are fractions under headings of any name.
        categories, images: how many the study had, or None.
    """

    name = "transfer"

    rows: Sequence[Row] = ()
    categories: int | None = None
    images: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for place, row in enumerate(_require_rows(self)):
            where = f"transfer.rows[{place}]"
            _require_keys(where, row, needed=["model"], allowed=None)
            _require_fractions(where, {name: row[name] for name in row if name not in ("model", "method")})
        _require_counts(self, "categories", "images")


@dataclass(frozen=True)
class Published:
    """All published numbers for a study's images; a section is None where there are none."""

    mixing: PublishedMixing | None = None
    iterative: PublishedIterative | None = None
    tuning: PublishedTuning | None = None
    baselines: PublishedBaselines | None = None
    transfer: PublishedTransfer | None = None

    @classmethod
    def from_mapping(cls, sections: Mapping[str, Any] | None) -> Published:
        """Check the content of a file.

        Raises:
            ValueError: a section or a key is unknown or missing, or a value is invalid.
        """
        sections = {} if sections is None else sections
        kinds = {kind.name: kind for kind in KINDS}
        if not isinstance(sections, Mapping) or not set(sections) <= set(kinds):
            given = list(sections) if isinstance(sections, Mapping) else sections
            raise ValueError(f"The sections are {given!r}; allowed are {', '.join(kinds)}.")
        filled = {name: values for name, values in sections.items() if values is not None}
        checked: dict[str, Any] = {name: _section(kinds[name], values) for name, values in filled.items()}
        return cls(**checked)


KINDS = (PublishedMixing, PublishedIterative, PublishedTuning, PublishedBaselines, PublishedTransfer)


def read_published(path: Path) -> Published:
    """Read the published numbers of a YAML file; an empty file has none.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not YAML, or its content is invalid.
    """
    try:
        return Published.from_mapping(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ValueError, yaml.YAMLError) as error:
        raise ValueError(f"The published numbers in {path} cannot be used. {error}") from error


def _section(kind: type[PublishedSection], values: Any) -> PublishedSection:
    needed = [known.name for known in fields(kind) if known.default is MISSING]
    optional = [known.name for known in fields(kind) if known.default is not MISSING]
    _require_keys(kind.name, values, needed, optional)
    return kind(**values)


def _require_keys(where: str, values: Any, needed: Sequence[str], allowed: Sequence[str] | None) -> None:
    """Refuse what is not a mapping, lacks a key, or has a key other than these (None allows any text)."""
    known = values if allowed is None else {*needed, *allowed}
    if not isinstance(values, Mapping) or not set(needed) <= set(values) <= set(known):
        given = list(values) if isinstance(values, Mapping) else values
        others = "columns of any name" if allowed is None else ", ".join(allowed)
        raise ValueError(f"{where} has {given!r}; it needs {', '.join(needed)} and may have {others}.")


def _require_rows(section: PublishedMixing | PublishedBaselines | PublishedTransfer) -> Sequence[Row]:
    if not isinstance(section.rows, list | tuple) or not section.rows:
        raise ValueError(f"{section.name}.rows is {section.rows!r}; give a list of one or more rows.")
    return section.rows


def _require_settings(where: str, settings: Row) -> None:
    """Check those of :data:`BASELINE_SETTINGS` that are given. YAML reads 1e-4 as text, which is accepted."""
    for name in ("batch_size", "learning_rate"):
        if name in settings:
            value = settings[name]
            _require_number(f"{where}.{name}", _as_number(value), "a number of 0 or more", given=value)
    if type(settings.get("dropout", True)) is not bool:
        raise ValueError(f"{where}.dropout is {settings['dropout']!r}; give true or false.")


def _require_fractions(where: str, values: Mapping[str, Any], optional: bool = False) -> None:
    for name, value in values.items():
        if not (optional and value is None):
            _require_number(f"{where}.{name}", value, "a fraction from 0 to 1", highest=1)


def _require_counts(section: PublishedSection, *names: str) -> None:
    for name in names:
        value = getattr(section, name)
        if value is not None and (type(value) is not int or value < 1):
            raise ValueError(f"{section.name}.{name} is {value!r}; give a whole number of 1 or more, or leave it out.")


def _require_number(where: str, value: Any, kind: str, highest: float = math.inf, given: Any = None) -> None:
    if type(value) not in (int, float) or not 0 <= value <= highest:
        raise ValueError(f"{where} is {value if given is None else given!r}; give {kind}.")


def _as_number(value: Any) -> Any:
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value
