"""Gaps in series filled: on the line between neighbours, or by a Whittaker smoother. Pure functions.

Arrays as in `cube.temporal`: image (T, C, H, W) float32, finite; valid (T, H, W), True = usable; date (T,) and day
(T, H, W), days since 1970-01-01.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded

from agrifm.cube.temporal import interpolate
from agrifm.errors import ConfigError

STRONGEST = 1e7
"""Strongest smoothing for which rounding stays far below 1e-4 over a year of days."""


def fill_gaps(
    image: NDArray[np.float32],
    valid: NDArray[np.bool_],
    date: NDArray[np.int32],
    day: NDArray[np.int32] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The series with what is not valid filled in by linear interpolation in time; valid observations stay as they are.

    Returns:
        Image (T, C, H, W), and valid (H, W): whether the pixel was seen at all. A filled pixel is of its frame's date,
        also where `day` gives the observed ones days of their own.
    """
    filled, seen = interpolate(image, valid, date, date, day)
    return np.where(valid[:, None], image, filled), seen


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
    """Series smoothed at `steps`: per pixel and band the z with the least sum w (y - z)^2 + smoothing sum (D z)^2.

    D are second differences on a grid of days (Eilers 2003, A perfect smoother, Analytical Chemistry 75, 3631); days
    without an observation are nodes of weight 0. There is one banded solve for each pattern of validity, shared by all
    bands and pixels that have it; its cost grows linearly with the number of nodes. Before a pixel's first and after
    its last valid observation the value there is repeated; a pixel seen on one node only is constant, one never seen 0.

    Args:
        date: (T,), in any order; observations of one node count with the mean of their values and sum of their weights.
        steps: (F,), days since 1970-01-01; between nodes values lie on the line.
        smoothing: Eilers's lambda. It refers to nodes: for the same curve it is about spacing ** 3 times smaller.
        spacing: days between nodes, which lie on the multiples of it since 1970-01-01; an observation moves to the
            nearest one (of two the later), by half of it at most.
        weight: (T, H, W), 0 or more, of the valid observations; 1 if left out.

    Returns:
        Image (F, C, H, W) float32, and valid (H, W): whether the pixel was seen at all.

    Raises:
        ConfigError: `smoothing` or `spacing` cannot be used.
    """
    if not (0 < smoothing <= STRONGEST and spacing >= 1):
        raise ConfigError(
            f"smoothing series: smoothing is {smoothing:g} and spacing {spacing} days; give a smoothing above 0 and up "
            f"to {STRONGEST:g}, and a spacing of 1 day or more"
        )
    counts = valid if weight is None else valid & (weight > 0)
    seen: NDArray[np.bool_] = np.asarray(counts.any(axis=0))
    result = np.zeros((len(steps), *image.shape[1:]), np.float32)
    if not seen.any():
        return result, seen
    pixels = image.transpose(0, 2, 3, 1)[:, seen].astype(np.float64)  # (T, P, C)
    weights = (counts * (1.0 if weight is None else weight))[:, seen].astype(np.float64)  # (T, P)
    days = np.broadcast_to(date[:, None, None], valid.shape) if day is None else day
    node = np.where(counts, (days.astype(np.int64) + spacing // 2) // spacing, 0)[:, seen]
    place = np.asarray(steps, np.float64) / spacing
    smoothed = np.empty((len(steps), *pixels.shape[1:]), np.float32)
    for members in _alike(node, weights):
        first = members[0]
        smoothed[:, members] = _solved(pixels[:, members], node[:, first], weights[:, first], place, smoothing)
    result[:, :, seen] = smoothed.transpose(0, 2, 1)
    return result, seen


def _alike(node: NDArray[np.integer], weights: NDArray[np.float64]) -> list[NDArray[np.intp]]:
    """Numbers of pixels in groups that have their observations on the same nodes with the same weights (T, P)."""
    pattern = np.concatenate([node.T, weights.T], axis=1)
    _, group = np.unique(pattern, axis=0, return_inverse=True)
    group = group.reshape(-1)
    return np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1])


def _solved(
    pixels: NDArray[np.float64],
    node: NDArray[np.integer],
    weight: NDArray[np.float64],
    place: NDArray[np.float64],
    smoothing: float,
) -> NDArray[np.float64]:
    """Smoothed values (F, P, C) of pixels (T, P, C) that share nodes and weights (T,).

    Args:
        place: (F,), where values are wanted, in nodes since 1970-01-01, as `node`.
    """
    used = node[weight > 0]
    first, length = int(used.min()), int(used.max() - used.min()) + 1
    weights = np.zeros(length)
    values = np.zeros((length, *pixels.shape[1:]))
    for own, heavy, pixel in zip(node - first, weight, pixels, strict=True):
        if heavy > 0:
            weights[own] += heavy
            values[own] += heavy * pixel
    values = values.reshape(length, -1)
    # D' D, of which the diagonal and two others are not 0; with fewer than three nodes there is nothing to smooth.
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
    inside = np.clip(place - first, 0, length - 1)
    low = np.floor(inside).astype(np.intp)
    part = (inside - low)[:, None]
    found = (1 - part) * smooth[low] + part * smooth[np.minimum(low + 1, length - 1)]
    return np.asarray(found.reshape(len(place), *pixels.shape[1:]))
