"""Divide units (images, or sets of images that stay together) into splits, as near to the targets as they allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import pandas as pd

from mixvision.vocabulary import SPLITS

TRAIN, VALIDATION, TEST = range(len(SPLITS))


@dataclass(frozen=True)
class Units:
    """What is divided. A part is what one unit has of one stratum (category of a domain); parts are sorted by unit.

    Args:
        unit, stratum, images: of every part, its unit, its stratum and its number of images, int (parts,) each.
        starts: where the parts of every unit start, int (units + 1,).
        draws: four random numbers of every unit, uint64 (units, 4), which depend on the seed and its name alone.
    """

    unit: np.ndarray
    stratum: np.ndarray
    images: np.ndarray
    starts: np.ndarray
    draws: np.ndarray

    def parts_of(self, unit: int) -> slice:
        return slice(self.starts[unit], self.starts[unit + 1])


def units_of(units: np.ndarray, strata: np.ndarray, names: Sequence[str], seed: int) -> Units:
    """Count the parts of every unit and draw its numbers.

    Args:
        units, strata: of every image, its unit and its stratum, numbered from 0, int (n,) each.
        names: of every image; the first name in alphabetical order is the unit's.
        seed: another one gives other numbers.
    """
    parts = pd.DataFrame({"unit": units, "stratum": strata}).groupby(["unit", "stratum"]).size()
    unit, stratum = (parts.index.get_level_values(name).to_numpy() for name in ("unit", "stratum"))
    first = pd.Series(names).groupby(units).min()
    digests = b"".join(sha256(f"{seed} {name}".encode()).digest() for name in first)
    draws = np.frombuffer(digests, ">u8").astype(np.uint64).reshape(-1, 4)
    return Units(unit, stratum, parts.to_numpy(), np.searchsorted(unit, np.arange(len(first) + 1)), draws)


def divide(units: Units, targets: np.ndarray, largest: float, whole: bool = True) -> np.ndarray:
    """A position in SPLITS for every unit, int (units,).

    Args:
        units: what to divide.
        targets: images wanted of every stratum in every split, int (strata, 3).
        largest: a unit of several images with more than this share of a stratum's goes to training, as does one that
            is all of a stratum.
        whole: False if every unit is one image, and none is to be moved for a split that got none.
    """
    chosen = np.full(len(units.draws), -1)
    room = targets.copy()
    if not whole:
        _place_singles(chosen, units, room)
        return chosen
    totals = targets.sum(axis=1)[units.stratum]
    too_large = ((units.images > largest * totals) & (units.images > 1)) | (units.images == totals)
    large = np.isin(np.arange(len(chosen)), units.unit[too_large])
    chosen[large] = TRAIN
    np.subtract.at(room[:, TRAIN], units.stratum[large[units.unit]], units.images[large[units.unit]])
    _place_several(chosen, units, targets, room)
    _place_singles(chosen, units, room)
    for split, fewest in ((TRAIN, 2), (TEST, 2), (VALIDATION, 3)):
        _fill_empty(split, fewest, chosen, units, targets, large)
    return chosen


def _place_several(chosen: np.ndarray, units: Units, targets: np.ndarray, room: np.ndarray) -> None:
    """Place the units of several images, the largest first; updates `chosen` and `room` in place."""
    sizes = np.bincount(units.unit, units.images, len(chosen)).astype(int)
    several = np.flatnonzero((chosen < 0) & (sizes > 1))
    for unit in several[np.lexsort((units.draws[several, 0], -sizes[several]))]:
        parts = units.parts_of(unit)
        touched, needed = units.stratum[parts], units.images[parts]
        split = _prefer(targets[touched].sum(axis=0), room[touched], needed, units.draws[unit, 1:])
        chosen[unit] = split
        room[touched, split] -= needed


def _prefer(targets: np.ndarray, room: np.ndarray, needed: np.ndarray, draws: np.ndarray) -> int:
    """The split that a unit takes: the first in its order of preference that has room for all of its parts.

    The order is drawn in proportion to the targets (3,), without regard to the room (parts, 3). So a little more or
    less room changes few choices.
    """
    fits: np.ndarray = np.all(room >= needed[:, None], axis=0)
    left = {split: int(target) for split, target in enumerate(targets) if target}
    for draw in draws:
        point = int(draw) * sum(left.values()) >> 64  # whole numbers are the same on every machine
        for split, target in list(left.items()):
            point -= target
            if point < 0:
                if fits[split]:
                    return split
                del left[split]
                break
    return int(room.sum(axis=0).argmax())


def _place_singles(chosen: np.ndarray, units: Units, room: np.ndarray) -> None:
    """Fill the room left with the single images, in random order; the rest goes to training."""
    free = np.flatnonzero(chosen < 0)
    strata = units.stratum[units.starts[free]]
    order = np.lexsort((units.draws[free, 0], strata))
    free, strata = free[order], strata[order]
    place = np.arange(len(free)) - np.searchsorted(strata, strata)
    _, validation, test = np.maximum(room[strata], 0).T
    chosen[free] = np.select([place < test, place < test + validation], [TEST, VALIDATION], TRAIN)


def _fill_empty(
    split: int, fewest: int, chosen: np.ndarray, units: Units, targets: np.ndarray, large: np.ndarray
) -> None:
    """Give strata of `fewest` or more units that have nothing in a split their smallest unit that can be spared.

    A unit can be spared if all its strata keep others in its split. Validation may lose its last to the other splits.
    """
    held = np.zeros_like(targets)
    np.add.at(held, (units.stratum, chosen[units.unit]), units.images)
    by_stratum = np.lexsort((units.draws[units.unit, 0], units.images, units.stratum))
    bounds = np.searchsorted(units.stratum[by_stratum], np.arange(len(targets) + 1))
    for stratum in np.flatnonzero((held[:, split] == 0) & (targets[:, split] > 0) & (np.diff(bounds) >= fewest)):
        members = by_stratum[bounds[stratum] : bounds[stratum + 1]]
        for unit in units.unit[members] if not held[stratum, split] else ():
            parts, giver = units.parts_of(unit), chosen[unit]
            touched, needed = units.stratum[parts], units.images[parts]
            spared = giver == VALIDATION or (held[touched, giver] > needed).all()
            if spared and not large[unit]:
                chosen[unit] = split
                held[touched, giver] -= needed
                held[touched, split] += needed
                break
