"""Whether two pictures are copies of each other: lay one on the other and compare block by block."""

from __future__ import annotations

import numpy as np

from mixvision.images.descriptors import affine_changes, area_weights

COARSE, FINE = 32, 64  # sides of the compared pictures, in cells
MARGIN = 3.5 / 64  # left out at every side, as a share of the side
FIRST_STEPS, COARSE_STEPS, FINE_STEPS = 3, 5, 5  # Gauss-Newton steps
TONE_STEPS = 8  # reweighted fits of the tones
TUKEY = 4.685  # cut-off of Tukey's biweight, in robust standard deviations: efficient at 95% for normal errors
LEAST_DEVIATION = 1.5  # grey levels: smaller residuals are never outliers
# Standard deviations of the prior on the entries of the 2x2 matrix and on the shift, in half sides, per step.
PRIOR = np.array([0.06, 0.06, 0.08, 0.06, 0.06, 0.08])
PRIOR_LEVELS = 4.0  # grey levels: how strong the prior is beside the residuals

SMOOTHED = 1  # cells at the edge of a picture whose average may hold cells of a border laid around it

BLOCKS = 7  # across and down, of 4x4 or 8x8 cells, within the margin
DETAIL = 1.2  # grey levels: blocks with a smaller standard deviation of their detail say nothing
FEWEST_BLOCKS = 10
# At most this share of the blocks may correlate less than the first number, and this one less than the second.
FAIR, FEW_BELOW_FAIR = 0.91, 0.25
GOOD, HALF_BELOW_GOOD = 0.96, 0.5
ERROR, ERROR_SHARE = 3.0, 0.25  # a block's error may be this many levels plus this share of its standard deviation ...
FEW_IN_ERROR = 0.2  # ... in all but this share of the blocks
SATURATED = 254  # grey levels from which a brightened picture may have been cut off
LARGEST_ROTATION = np.radians(8)
SMALLEST_SCALE, LARGEST_SCALE = 0.72, 1.3
LARGEST_STRETCH = 1.2  # of the scale in one direction to that in the other
LEAST_OVERLAP = 0.5  # of the picture
# Most pairs are no copies. They are given up while the pictures are coarse: at these correlations after the first steps
# and after all, and if more than this share of the coarse blocks correlates less than this.
POOR, POOR_AFTER_ALL = 0.7, 0.9
DIFFERENT, FEW_DIFFERENT = 0.5, 0.25
PAIRS_IN_CACHE = 32  # what a processor's cache holds


def confirm(one: np.ndarray, other: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Whether pairs of pictures are the same picture, altered.

    The affine map between them, with a gain and an offset of the grey levels, is fitted by Gauss-Newton steps (Baker,
    Matthews, "Lucas-Kanade 20 Years On" (2004), section 3.2) in which Tukey's biweight ignores what was added, such as
    a caption. Then blocks of 8x8 cells must agree in their details.

    Args:
        one, other: grey levels (P, S, S).
        starts: affine maps (P, 2, 3) from coordinates (-1 to 1) of `one` to those of `other`, to start from.

    Returns:
        bool (P,).
    """
    result = np.zeros(len(one), bool)
    for start in range(0, len(one), PAIRS_IN_CACHE):
        part = slice(start, start + PAIRS_IN_CACHE)
        ordered = _brighter_first(one[part].astype(np.float32), other[part].astype(np.float32), starts[part])
        result[part] = _confirm(*ordered)
    return result


def _confirm(one: np.ndarray, other: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """As `confirm`, for few pairs of float32, of which the first picture is the brighter one."""
    rows = np.arange(len(one))
    left, right = shrunk(one, COARSE), shrunk(other, COARSE)
    for steps, least in ((FIRST_STEPS, POOR), (COARSE_STEPS, POOR_AFTER_ALL)):
        maps, correlation = _align(left, right, maps, steps)
        rows, maps, left, right = (values[correlation >= least] for values in (rows, maps, left, right))
    kept = _plausible(maps) & _alike(left, right, maps)
    rows, maps = rows[kept], maps[kept]
    result = np.zeros(len(one), bool)
    left, right = (_smoothed(shrunk(pictures[rows], FINE)) for pictures in (one, other))
    maps, _ = _align(left, right, maps, FINE_STEPS)
    result[rows] = _plausible(maps) & _same_blocks(left, right, maps)
    return result


def shrunk(pictures: np.ndarray, side: int) -> np.ndarray:
    """Pictures (P, S, S) averaged, or enlarged, to float32 (P, side, side)."""
    weights = area_weights(np.linspace(0, pictures.shape[1], side + 1), pictures.shape[1])
    return np.matmul(weights, np.matmul(pictures.astype(np.float32), weights.T))


def _align(one: np.ndarray, other: np.ndarray, maps: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Improved maps (P, 2, 3), and the correlations (P,) of the aligned pictures where nothing was added."""
    places = _grid(one.shape[1], MARGIN)
    values = _inner(one)
    jacobian = _jacobian(one)
    prior = np.append((PRIOR_LEVELS / PRIOR) ** 2, [1e-3, 1e-3]).astype(np.float32)
    moved, seen = _moved(other, maps, places)
    tones = _fitted_tones(values, moved, seen)
    for _ in range(steps):
        residuals = values - np.minimum(tones[:, :1] * moved + tones[:, 1:], 255)
        jacobian[:, 6] = moved
        weighted = jacobian * _biweight(residuals, seen)[:, None]
        normal = np.matmul(weighted, jacobian.transpose(0, 2, 1))
        normal[:, range(8), range(8)] += prior
        change = np.linalg.solve(normal, np.matmul(weighted, residuals[:, :, None]))[:, :, 0]
        maps, tones = _composed(maps, change[:, :6]), tones + change[:, 6:]
        moved, seen = _moved(other, maps, places)
    residuals = values - np.minimum(tones[:, :1] * moved + tones[:, 1:], 255)
    return maps, _correlation(values, moved, _biweight(residuals, seen))


def _composed(maps: np.ndarray, change: np.ndarray) -> np.ndarray:
    """The maps (P, 2, 3) after small changes (P, 6) of the coordinates that they are given."""
    small = change.reshape(-1, 2, 3)
    matrix = maps[:, :, :2]
    return np.concatenate(
        [matrix + matrix @ small[:, :, :2], maps[:, :, 2:] + matrix @ small[:, :, 2:]], axis=2
    ).astype(np.float32)


def _plausible(maps: np.ndarray) -> np.ndarray:
    """Whether maps (P, 2, 3) are what a copy may have gone through: bool (P,)."""
    matrix = maps[:, :, :2].astype(np.float64)
    rotation = np.arctan2(matrix[:, 1, 0], matrix[:, 1, 1])
    large, small = np.linalg.svd(matrix, compute_uv=False).T
    overlap = _overlap(maps)
    return (
        (np.abs(rotation) <= LARGEST_ROTATION)
        & (small >= SMALLEST_SCALE)
        & (large <= LARGEST_SCALE)
        & (large <= LARGEST_STRETCH * small)
        & (overlap >= LEAST_OVERLAP)
    )


def _alike(one: np.ndarray, other: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Whether aligned coarse pictures (P, 32, 32) may be copies: few of their blocks show something different."""
    moved, seen = _moved(other, maps, _grid(COARSE, MARGIN))
    busy, correlations = _compare_details(*map(_blocks, (_inner(one), moved, seen)))
    return np.logical_or.reduce(_few((correlations < DIFFERENT) & busy, busy, FEW_DIFFERENT), axis=1)


def _same_blocks(one: np.ndarray, other: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Whether the blocks of aligned pictures (P, 64, 64) agree: bool (P,)."""
    moved, seen = _moved(other, maps, _grid(FINE, MARGIN), SMOOTHED)
    values = _inner(one)
    left, right, inside = map(_blocks, (values, _retoned(values, moved, seen), seen))
    busy, correlations = _compare_details(left, right, inside)
    errors = np.sqrt(((left - right) ** 2).mean(axis=2)) > ERROR + ERROR_SHARE * left.std(axis=2)
    limits = ((correlations < FAIR, FEW_BELOW_FAIR), (correlations < GOOD, HALF_BELOW_GOOD), (errors, FEW_IN_ERROR))
    fit = np.logical_and.reduce([_few(wrong & busy, busy, share) for wrong, share in limits])
    return np.logical_or.reduce(fit, axis=1) & (busy.sum(axis=1) >= FEWEST_BLOCKS)


def _compare_details(left: np.ndarray, right: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which blocks of (P, 49, cells) show details, and the correlations of these: (P, 49) each."""
    left, right = _details(left), _details(right)
    norms = np.sqrt((left**2).sum(axis=2) * (right**2).sum(axis=2))
    busy = seen.all(axis=2) & (np.sqrt((left**2).mean(axis=2)) > DETAIL)
    return busy, (left * right).sum(axis=2) / np.maximum(norms, 1e-6)


def _few(wrong: np.ndarray, busy: np.ndarray, share: float) -> np.ndarray:
    """Whether at most a share of the busy blocks is wrong, without each of the 14 rows and columns: bool (P, 14)."""
    return _without_a_line(wrong) <= share * _without_a_line(busy)


def _without_a_line(flags: np.ndarray) -> np.ndarray:
    """How many of the 7x7 flags are set (P, 14), without any one row or column, which may be a caption."""
    flags = flags.reshape(len(flags), BLOCKS, BLOCKS)
    return flags.sum(axis=(1, 2))[:, None] - np.concatenate([flags.sum(axis=1), flags.sum(axis=2)], axis=1)


def _brighter_first(one: np.ndarray, other: np.ndarray, maps: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs in the order in which the first picture may be the second, brightened and cut off at white."""
    swapped = (one >= SATURATED).sum(axis=(1, 2)) < (other >= SATURATED).sum(axis=(1, 2))
    chosen = swapped[:, None, None]
    return np.where(chosen, other, one), np.where(chosen, one, other), np.where(chosen, _inverted(maps), maps)


def _inverted(maps: np.ndarray) -> np.ndarray:
    inverse = np.linalg.inv(maps[:, :, :2])
    return np.concatenate([inverse, -inverse @ maps[:, :, 2:]], axis=2)


def _smoothed(pictures: np.ndarray) -> np.ndarray:
    """Binomial 3x3 averages: copies differ in sharpness, and by up to half a cell in where their cells lie."""
    padded = np.pad(pictures, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    return (rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:]) / 16


def _grid(side: int, margin: float) -> np.ndarray:
    """Coordinates (2, K), x and y, of the cells' centres without a margin."""
    first = int(np.ceil(margin * side))
    centres = ((np.arange(first, side - first) + 0.5) / side * 2 - 1).astype(np.float32)
    return np.stack([np.tile(centres, len(centres)), np.repeat(centres, len(centres))])


def _inner(pictures: np.ndarray) -> np.ndarray:
    """The cells (..., K) of pictures (..., side, side) without the margin: those at the places of `_grid`."""
    first = int(np.ceil(MARGIN * pictures.shape[-1]))
    inner = pictures[..., first:-first, first:-first]
    return inner.reshape(*inner.shape[:-2], inner.shape[-2] * inner.shape[-1])


def _jacobian(pictures: np.ndarray) -> np.ndarray:
    """How the grey levels change with the map's six numbers, the gain (filled in later) and the offset: (P, 8, K)."""
    changes = _inner(affine_changes(pictures))
    return np.concatenate([changes, np.ones_like(changes[:, :2])], axis=1)


def _moved(pictures: np.ndarray, maps: np.ndarray, places: np.ndarray, edge: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The pictures at the places that the maps send the grid to, bilinear, (P, K).

    Also which places are inside, without a number of cells at each edge.
    """
    side = pictures.shape[1]
    half = np.float32(side / 2)
    targets = np.matmul(maps[:, :, :2] * half, places) + (maps[:, :, 2:] * half + (half - np.float32(0.5)))
    x, y = targets[:, 0], targets[:, 1]
    low, high = edge - 0.5, side - 0.5 - edge
    seen = (x > low) & (x < high) & (y > low) & (y < high)
    np.clip(targets, 0, side - 1.001, out=targets)
    corner = targets.astype(np.intp)
    targets -= corner
    at = corner[:, 1] * side + corner[:, 0] + np.arange(len(pictures))[:, None] * (side * side)
    flat = pictures.reshape(-1)
    # "clip" skips a check: all places are inside.
    one, right, below, beyond = (flat[step:].take(at, mode="clip") for step in (0, 1, side, side + 1))
    above = one + (right - one) * x
    return above + (below + (beyond - below) * x - above) * y, seen


def _fitted_tones(values: np.ndarray, moved: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Gain and offset (P, 2) that give `moved` the mean and standard deviation of `values`."""
    number = np.maximum(seen.sum(axis=1, keepdims=True), 1)
    means = [(levels * seen).sum(axis=1, keepdims=True) / number for levels in (values, moved)]
    deviations = [
        np.sqrt(((levels - mean) ** 2 * seen).sum(axis=1, keepdims=True) / number)
        for levels, mean in zip((values, moved), means, strict=True)
    ]
    gain = np.clip(deviations[0] / np.maximum(deviations[1], 1), 0.3, 3)
    return np.concatenate([gain, means[0] - gain * means[1]], axis=1).astype(np.float32)


def _biweight(residuals: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Tukey's weights (P, K), 0 where nothing is seen."""
    middle = residuals.shape[1] // 2
    deviation = 1.4826 * np.partition(np.abs(residuals), middle, axis=1)[:, middle : middle + 1]  # np.median is slow
    limit = TUKEY * np.maximum(deviation, LEAST_DEVIATION)
    return np.square(np.maximum(1 - np.square(residuals / limit), 0)) * seen


def _correlation(one: np.ndarray, other: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total = np.maximum(weights.sum(axis=1, keepdims=True), 1e-6)
    one, other = (levels - (weights * levels).sum(axis=1, keepdims=True) / total for levels in (one, other))
    squares = (weights * one**2).sum(axis=1) * (weights * other**2).sum(axis=1)
    return (weights * one * other).sum(axis=1) / np.maximum(np.sqrt(squares), 1e-6)


def _retoned(values: np.ndarray, moved: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """`moved` after the quadratic change of tones that brings it closest to `values`, without outliers."""
    scaled = moved / 255
    powers = np.stack([np.ones_like(scaled), scaled, scaled**2], axis=1)
    usable = seen & (values < SATURATED)
    weights = usable.astype(np.float32)
    for _ in range(TONE_STEPS):
        weighted = powers * weights[:, None]
        normal = np.matmul(weighted, powers.transpose(0, 2, 1)) + 1e-3 * np.eye(3, dtype=np.float32)
        factors = np.linalg.solve(normal, np.matmul(weighted, values[:, :, None]))
        toned = np.minimum(np.matmul(powers.transpose(0, 2, 1), factors)[:, :, 0], 255)
        weights = _biweight(values - toned, usable)
    return toned


def _blocks(levels: np.ndarray) -> np.ndarray:
    """Square pictures (P, K) cut into 7x7 blocks (P, 49, K // 49)."""
    side = int(np.sqrt(levels.shape[1])) // BLOCKS
    cut = levels.reshape(len(levels), BLOCKS, side, BLOCKS, side).transpose(0, 1, 3, 2, 4)
    return cut.reshape(len(levels), BLOCKS * BLOCKS, side * side)


def _details(blocks: np.ndarray) -> np.ndarray:
    """Blocks (P, 49, cells) without their mean and plane, in which round things of different kinds look alike."""
    side = int(np.sqrt(blocks.shape[2]))
    steps = np.tile(np.arange(side) - (side - 1) / 2, (side, 1))
    plane = np.stack([np.ones(side * side), steps.ravel(), steps.T.ravel()])
    plane = (plane / np.linalg.norm(plane, axis=1, keepdims=True)).astype(np.float32)
    return blocks - blocks @ plane.T @ plane


def _overlap(maps: np.ndarray) -> np.ndarray:
    """The share (P,) of the first picture that lies on the second."""
    targets = np.matmul(maps[:, :, :2], _grid(16, 0)) + maps[:, :, 2:]
    return (np.abs(targets) <= 1).all(axis=1).mean(axis=1)
