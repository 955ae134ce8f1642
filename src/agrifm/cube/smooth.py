"""Fill gaps in series by linear interpolation or by a Whittaker smoother. Pure functions.

Arrays as in `cube.temporal`: image (T, C, H, W) float32, finite; valid (T, H, W), True = usable; date (T,) and day
(T, H, W), days since 1970-01-01.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded

from agrifm.cube.temporal import interpolate
from agrifm.errors import ConfigError

MAX_SMOOTHING = 1e7
"""Largest lambda for which rounding errors stay far below 1e-4 over a year of days."""


def fill_gaps(
    image: NDArray[np.float32],
    valid: NDArray[np.bool_],
    date: NDArray[np.int32],
    day: NDArray[np.int32] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Fill invalid observations by linear interpolation in time; valid observations stay as they are.

    Returns:
        Image (T, C, H, W), and valid (H, W): whether the pixel was ever observed. A filled pixel has the date of its
        frame, also if `day` gives observed pixels other days.
    """
    filled, observed = interpolate(image, valid, date, date, day)
    return np.where(valid[:, None], image, filled), observed


def whittaker(
    image: NDArray[np.float32],
    valid: NDArray[np.bool_],
    date: NDArray[np.int32],
    steps: NDArray[np.int32],
    smoothing: float,
    day: NDArray[np.int32] | None = None,
    spacing: int = 1,
    weight: NDArray[np.floating] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Smooth series at `steps`: per pixel and band the z that minimises sum w (y - z)^2 + smoothing sum (D z)^2.

    D are second differences on a grid of days (Eilers 2003, A perfect smoother, Analytical Chemistry 75, 3631); days
    without an observation are nodes of weight 0. There is one banded solve for each pattern of validity, shared by all
    bands and pixels that have it; its cost grows linearly with the number of nodes. Before a pixel's first and after
    its last valid observation the value there is repeated; a pixel observed on one node is constant, else 0.

    Args:
        date: (T,), in any order; observations of one node count with the mean of their values and sum of their weights.
        steps: (F,), days since 1970-01-01; between nodes values are interpolated linearly.
        smoothing: Eilers's lambda. It refers to nodes: for the same curve it is about spacing ** 3 times smaller.
        spacing: days between nodes, which are at its multiples since 1970-01-01; an observation moves to the nearest
            node (of two the later), by at most half of it.
        weight: (T, H, W), 0 or more, of the valid observations; 1 if left out.

    Returns:
        Image (F, C, H, W) float32, and valid (H, W): whether the pixel was ever observed.

    Raises:
        ConfigError: `smoothing` or `spacing` cannot be used.
    """
    if not (0 < smoothing <= MAX_SMOOTHING and spacing >= 1):
        raise ConfigError(
            f"smoothing series: smoothing is {smoothing:g} and spacing {spacing} days; use a smoothing above 0 and up "
            f"to {MAX_SMOOTHING:g}, and a spacing of 1 day or more"
        )
    counts = valid if weight is None else valid & (weight > 0)
    observed: NDArray[np.bool_] = np.asarray(counts.any(axis=0))
    result = np.zeros((len(steps), *image.shape[1:]), np.float32)
    if not observed.any():
        return result, observed
    # In 64 bits: with a strong smoothing the solution is a small difference of large numbers.
    pixels = image.transpose(0, 2, 3, 1)[:, observed].astype(np.float64)  # (T, P, C)
    weights = (counts * (1.0 if weight is None else weight))[:, observed].astype(np.float64)  # (T, P)
    days = np.broadcast_to(date[:, None, None], valid.shape) if day is None else day
    # Half of the spacing is added, so that the division rounds to the nearest node.
    node = np.where(counts, (days.astype(np.int64) + spacing // 2) // spacing, 0)[:, observed]
    position = np.asarray(steps, np.float64) / spacing
    smoothed = np.empty((len(steps), *pixels.shape[1:]), np.float32)
    # One solve for all pixels with the same pattern: the matrix depends on nodes and weights only.
    for members in _same_pattern(node, weights):
        first = members[0]
        smoothed[:, members] = _solve(pixels[:, members], node[:, first], weights[:, first], position, smoothing)
    result[:, :, observed] = smoothed.transpose(0, 2, 1)
    return result, observed


def _same_pattern(node: NDArray[np.integer], weights: NDArray[np.float64]) -> list[NDArray[np.intp]]:
    """Indices of pixels, in groups that have their observations on the same nodes with the same weights (T, P)."""
    pattern = np.concatenate([node.T, weights.T], axis=1)
    _, group = np.unique(pattern, axis=0, return_inverse=True)
    group = group.reshape(-1)
    # Sorted by group, the members are together; running totals of the counts are the ends.
    return np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1])


def _solve(
    pixels: NDArray[np.float64],
    node: NDArray[np.integer],
    weight: NDArray[np.float64],
    position: NDArray[np.float64],
    smoothing: float,
) -> NDArray[np.float64]:
    """Smoothed values (F, P, C) of pixels (T, P, C) that share nodes and weights (T,).

    Args:
        position: (F,), in nodes since 1970-01-01, as `node`.
    """
    used = node[weight > 0]
    first, length = int(used.min()), int(used.max() - used.min()) + 1
    weights = np.zeros(length)
    values = np.zeros((length, *pixels.shape[1:]))
    for index, weight_here, pixel in zip(node - first, weight, pixels, strict=True):
        if weight_here > 0:
            weights[index] += weight_here
            values[index] += weight_here * pixel
    values = values.reshape(length, -1)
    # Normal equations (W + smoothing D' D) z = W y, in the banded form of scipy.
    # D' D has three diagonals that are not 0, here the lower ones; with fewer than three nodes it is 0.
    banded = np.zeros((3, length))
    banded[0, :-2] += 1
    banded[0, 1:-1] += 4
    banded[0, 2:] += 1
    banded[1, : max(length - 2, 0)] -= 2
    banded[1, 1 : max(length - 1, 1)] -= 2 * (length > 2)
    banded[2, :-2] = 1
    banded *= smoothing
    banded[0] += weights
    smooth = solveh_banded(banded, values, lower=True, overwrite_ab=True, overwrite_b=True)
    inside = np.clip(position - first, 0, length - 1)
    low = np.floor(inside).astype(np.intp)
    part = (inside - low)[:, None]
    # Linear between the two nodes around a step; outside of the observations the nearest node.
    between = (1 - part) * smooth[low] + part * smooth[np.minimum(low + 1, length - 1)]
    return np.asarray(between.reshape(len(position), *pixels.shape[1:]))
