"""Settings of every report."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReportParameters:
    """What the report shows.

    Args:
        title: heading of the page.
        images_per_category: images of each category and domain on the sample sheet.
        mistakes_shown: images on the sheet of most confident mistakes.
        seed: of the choice of sample images.
    """

    title: str = "How much real data to mix in"
    images_per_category: int = 6
    mistakes_shown: int = 24
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("images_per_category", "mistakes_shown"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)!r}; the report needs a whole number of 1 or more.")
        if type(self.seed) is not int or self.seed < 0:
            raise ValueError(f"seed of the report is {self.seed!r}; a seed is a whole number of 0 or more.")
