"""Settings of the report on transfer learning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

MOST_PREDICTIONS = 5  # kept for each image


@dataclass(frozen=True)
class TransferReport:
    """What the report shows.

    Args:
        title: heading of the page.
        tops: an image counts as right for "top k" when its category is among the first k predictions.
        images_per_category: images of each category and domain on the sample sheet.
        mistakes_shown: images on the sheet of most confident mistakes.
        activations_shown: images on the sheet of class activation maps.
        embedded_images: maximum number of points on the map of the features.
        seed: of every choice of images.
        sources: by domain where its images come from, a folder, archive or URL; None if there are none.
    """

    title: str = "What a pretrained network brings along"
    tops: tuple[int, ...] = (1, 5)
    images_per_category: int = 6
    mistakes_shown: int = 24
    activations_shown: int = 24
    embedded_images: int = 2000
    seed: int = 0
    sources: Mapping[str, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.tops, list | tuple):
            raise ValueError(f"tops is {self.tops!r}; give a list such as [1, 5].")
        object.__setattr__(self, "tops", tuple(self.tops))  # a list from YAML
        allowed = all(type(top) is int and 1 <= top <= MOST_PREDICTIONS for top in self.tops)
        if not allowed or self.tops[:1] != (1,) or list(self.tops) != sorted(set(self.tops)):
            raise ValueError(
                f"tops is {list(self.tops)}; give 1 followed by increasing whole numbers up to {MOST_PREDICTIONS}, the "
                "number of predictions that are kept for each image."
            )
        names = ("images_per_category", "mistakes_shown", "activations_shown", "embedded_images")
        for name in names:
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)!r}; the report needs a whole number of 1 or more.")
        if type(self.seed) is not int or self.seed < 0:
            raise ValueError(f"seed of the report is {self.seed!r}; a seed is a whole number of 0 or more.")
