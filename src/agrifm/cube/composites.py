"""Composites: one observation, or the median of several, of each day or period, with the day it is of. Pure functions.

Arrays are image (T, C, H, W) float32, finite; valid (T, H, W), True = usable; date (T,) and day (T, H, W), days since
1970-01-01. `day` is given where frames are composites themselves and each pixel has a day of its own.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Composite = tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.int32]]
"""Image (F, C, H, W), 0 where not valid; valid (F, H, W); day of each pixel (F, H, W)."""


def median_of_periods(
    image: NDArray[np.float32],
    valid: NDArray[np.bool_],
    date: NDArray[np.int32],
    edges: NDArray[np.int32],
    day: NDArray[np.int32] | None = None,
) -> Composite:
    """Band by band the median of the valid observations of each period, per pixel.

    The median of an even number is the mean of the two in the middle. The day is that of the observations which the
    medians come from: the mean over all bands of the day of the one (or the two) in the middle, rounded down. Where
    observations of a band are equal, the earlier frame stands first. Bands may come from different observations; a
    spectrum that was really seen is `medoid_of_periods`.

    Args:
        edges: (F + 1,), increasing days since 1970-01-01; a period holds its start and not its end.

    Returns:
        See `Composite`; where no observation is valid, the day is the middle of the period.
    """
    found, known, taken = _nothing(image, edges)
    for place, frames, inside, days in _periods(valid, date, edges, day):
        medians, middle_days = _medians(image[frames], inside, days)
        known[place] = inside.any(axis=0)
        found[place] = np.where(known[place], medians, 0)
        taken[place] = np.where(known[place], middle_days, taken[place])
    return found, known, taken


def medoid_of_periods(
    image: NDArray[np.float32],
    valid: NDArray[np.bool_],
    date: NDArray[np.int32],
    edges: NDArray[np.int32],
    day: NDArray[np.int32] | None = None,
) -> Composite:
    """Of each period the valid observation nearest the band-wise median, per pixel: all bands of one day.

    Near is the Euclidean distance over the bands; of two equally near the earlier frame counts. This is the quick form
    of the medoid of Flood 2013 (Seasonal composite Landsat TM/ETM+ images using the medoid, Remote Sensing 5, 6481),
    who takes the observation with the least sum of distances to all others.

    Args:
        edges: (F + 1,), increasing days since 1970-01-01; a period holds its start and not its end.

    Returns:
        See `Composite`; where no observation is valid, the day is the middle of the period.
    """
    found, known, taken = _nothing(image, edges)
    for place, frames, inside, days in _periods(valid, date, edges, day):
        medians, _ = _medians(image[frames], inside, days)
        known[place] = inside.any(axis=0)
        away = np.zeros(inside.shape, np.float64)
        for band in range(image.shape[1]):
            away += (image[frames, band].astype(np.float64) - medians[band]) ** 2
        nearest = np.where(inside, away, np.inf).argmin(axis=0)
        found[place] = np.where(known[place], _taken(image[frames], nearest), 0)
        own = np.take_along_axis(days, nearest[None], axis=0)[0]
        taken[place] = np.where(known[place], own, taken[place])
    return found, known, taken


def _nothing(image: NDArray[np.float32], edges: NDArray[np.int32]) -> Composite:
    """Composites without an observation."""
    periods, pixels = len(edges) - 1, image.shape[2:]
    middle = (edges[:-1].astype(np.int64) + edges[1:]) // 2
    days = np.broadcast_to(middle[:, None, None], (periods, *pixels)).astype(np.int32)
    return np.zeros((periods, *image.shape[1:]), np.float32), np.zeros((periods, *pixels), bool), days


def _periods(
    valid: NDArray[np.bool_], date: NDArray[np.int32], edges: NDArray[np.int32], day: NDArray[np.int32] | None
) -> list[tuple[int, NDArray[np.intp], NDArray[np.bool_], NDArray[np.int32]]]:
    """Of each period with a valid observation: its number, its frames (n,), where these count and their days (n, H, W).

    Not lazily: the masks are small beside the image.
    """
    assert (np.diff(edges) > 0).all(), "edges must increase"
    own = np.broadcast_to(date[:, None, None], valid.shape) if day is None else day
    found = []
    for place, (start, end) in enumerate(pairwise(edges)):
        inside = valid & (own >= start) & (own < end)
        frames = np.flatnonzero(inside.any(axis=(1, 2)))
        if len(frames):
            found.append((place, frames, inside[frames], own[frames]))
    return found


def _medians(
    image: NDArray[np.float32], inside: NDArray[np.bool_], days: NDArray[np.int32]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Band-wise medians (C, H, W) where `inside` (n, H, W), and their mean day (H, W), rounded down."""
    count = inside.sum(axis=0)
    low, high = np.maximum(count - 1, 0) // 2, count // 2
    medians = np.empty(image.shape[1:], np.float32)
    sum_of_days = np.zeros(count.shape, np.int64)
    for band in range(image.shape[1]):
        values = np.where(inside, image[:, band], np.inf)
        order = values.argsort(axis=0, kind="stable")
        pair = [np.take_along_axis(order, middle[None], axis=0) for middle in (low, np.minimum(high, len(order) - 1))]
        lower, upper = (np.take_along_axis(values, one, axis=0)[0] for one in pair)
        # Where nothing is valid both are infinite, and the caller replaces them.
        medians[band] = np.where(count > 0, (lower + upper) / 2, 0)
        sum_of_days += sum(np.take_along_axis(days, one, axis=0)[0].astype(np.int64) for one in pair)
    return medians, sum_of_days // (2 * image.shape[1])


def _taken(image: NDArray[np.float32], frame: NDArray[np.intp]) -> NDArray[np.float32]:
    """Of each pixel the bands (C, H, W) of the frame with this number (H, W)."""
    bands: NDArray[np.float32] = np.take_along_axis(image, frame[None, None], axis=0)[0]
    return bands
