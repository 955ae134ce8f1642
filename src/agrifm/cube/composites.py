"""Composites of periods: the median of the observations or one of them, with the day of each pixel. Pure functions.

Arrays are image (T, C, H, W) float32, finite; valid (T, H, W), True = usable; date (T,) and day (T, H, W), days since
1970-01-01. `day` is given if the frames are composites already and each pixel has its day.
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
    """Median of the valid observations of each period, per pixel and band.

    The median of an even number is the mean of the two in the middle. The day is that of the observations which the
    medians come from: the mean over all bands of the day of the one (or the two) in the middle, rounded down. Of equal
    observations of a band, the earlier frame comes first. Bands may come from different observations;
    `medoid_of_periods` returns a spectrum that was observed.

    Args:
        edges: (F + 1,), increasing days since 1970-01-01; a period includes its start, but not its end.

    Returns:
        See `Composite`; without a valid observation, the day is the middle of the period.
    """
    composite, known, days_used = _empty(image, edges)
    for period, frames, inside, days in _periods(valid, date, edges, day):
        medians, middle_days = _medians(image[frames], inside, days)
        known[period] = inside.any(axis=0)
        composite[period] = np.where(known[period], medians, 0)
        days_used[period] = np.where(known[period], middle_days, days_used[period])
    return composite, known, days_used


def medoid_of_periods(
    image: NDArray[np.float32],
    valid: NDArray[np.bool_],
    date: NDArray[np.int32],
    edges: NDArray[np.int32],
    day: NDArray[np.int32] | None = None,
) -> Composite:
    """The valid observation of each period that is nearest the band-wise median, per pixel: all bands are of one day.

    The distance is Euclidean over the bands; of two at the same distance the earlier frame is used. This is a quick
    form of the medoid of Flood 2013 (Seasonal composite Landsat TM/ETM+ images using the medoid, Remote Sensing 5,
    6481), who uses the observation with the least sum of distances to all others.

    Args:
        edges: (F + 1,), increasing days since 1970-01-01; a period includes its start, but not its end.

    Returns:
        See `Composite`; without a valid observation, the day is the middle of the period.
    """
    composite, known, days_used = _empty(image, edges)
    for period, frames, inside, days in _periods(valid, date, edges, day):
        medians, _ = _medians(image[frames], inside, days)
        known[period] = inside.any(axis=0)
        away = np.zeros(inside.shape, np.float64)
        for band in range(image.shape[1]):
            away += (image[frames, band].astype(np.float64) - medians[band]) ** 2
        # argmin returns the first of equals, which is the earlier frame.
        nearest = np.where(inside, away, np.inf).argmin(axis=0)
        composite[period] = np.where(known[period], _at_frame(image[frames], nearest), 0)
        nearest_day = np.take_along_axis(days, nearest[None], axis=0)[0]
        days_used[period] = np.where(known[period], nearest_day, days_used[period])
    return composite, known, days_used


def _empty(image: NDArray[np.float32], edges: NDArray[np.int32]) -> Composite:
    """Composites without any observation."""
    count, pixels = len(edges) - 1, image.shape[2:]
    middle = (edges[:-1].astype(np.int64) + edges[1:]) // 2
    days = np.broadcast_to(middle[:, None, None], (count, *pixels)).astype(np.int32)
    return np.zeros((count, *image.shape[1:]), np.float32), np.zeros((count, *pixels), bool), days


def _periods(
    valid: NDArray[np.bool_], date: NDArray[np.int32], edges: NDArray[np.int32], day: NDArray[np.int32] | None
) -> list[tuple[int, NDArray[np.intp], NDArray[np.bool_], NDArray[np.int32]]]:
    """For each period with a valid observation: its index, its frames (n,), their masks and days (n, H, W)."""
    assert (np.diff(edges) > 0).all(), "edges must increase"
    days = np.broadcast_to(date[:, None, None], valid.shape) if day is None else day
    periods_with_data = []
    for period, (start, end) in enumerate(pairwise(edges)):
        inside = valid & (days >= start) & (days < end)
        frames = np.flatnonzero(inside.any(axis=(1, 2)))
        if len(frames):
            periods_with_data.append((period, frames, inside[frames], days[frames]))
    return periods_with_data


def _medians(
    image: NDArray[np.float32], inside: NDArray[np.bool_], days: NDArray[np.int32]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Band-wise medians (C, H, W) of the pixels `inside` (n, H, W), and their mean day (H, W), rounded down."""
    count = inside.sum(axis=0)
    # Positions of the two in the middle; of an odd number both are the same.
    low, high = np.maximum(count - 1, 0) // 2, count // 2
    medians = np.empty(image.shape[1:], np.float32)
    sum_of_days = np.zeros(count.shape, np.int64)
    for band in range(image.shape[1]):
        # Invalid observations are sorted to the end.
        values = np.where(inside, image[:, band], np.inf)
        order = values.argsort(axis=0, kind="stable")
        pair = [np.take_along_axis(order, middle[None], axis=0) for middle in (low, np.minimum(high, len(order) - 1))]
        lower, upper = (np.take_along_axis(values, frame, axis=0)[0] for frame in pair)
        # Without a valid observation both are infinite, and the caller replaces them.
        medians[band] = np.where(count > 0, (lower + upper) / 2, 0)
        sum_of_days += sum(np.take_along_axis(days, frame, axis=0)[0].astype(np.int64) for frame in pair)
    # Each band added two days.
    return medians, sum_of_days // (2 * image.shape[1])


def _at_frame(image: NDArray[np.float32], frame: NDArray[np.intp]) -> NDArray[np.float32]:
    """The bands (C, H, W) of the frame with this index (H, W), per pixel."""
    bands: NDArray[np.float32] = np.take_along_axis(image, frame[None, None], axis=0)[0]
    return bands
