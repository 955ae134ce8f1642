"""Series in time: irregular, cloudy observations to evenly spaced steps. Pure functions on arrays."""

import numpy as np
from numpy.typing import NDArray


def interpolate(
    image: NDArray[np.float32],
    valid: NDArray[np.bool_],
    date: NDArray[np.int32],
    steps: NDArray[np.int32],
    day: NDArray[np.int32] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Valid observations interpolated linearly in time to `steps`, per pixel.

    Before a pixel's first and after its last valid observation its nearest one is repeated; a pixel without any
    is 0 and not valid.

    Args:
        image: (T, C, H, W), finite.
        valid: (T, H, W), True = usable.
        date: (T,), increasing, days since 1970-01-01.
        steps: (F,), days since 1970-01-01.
        day: (T, H, W), the day of each pixel where frames are composites; in any order, as composites overlap at
            New Year. Of two valid observations of a pixel on one day the later frame counts.

    Returns:
        Image (F, C, H, W) float32, and valid (H, W): whether the pixel was seen at all.
    """
    frames, bands, height, width = image.shape
    seen: NDArray[np.bool_] = np.asarray(valid.any(axis=0))
    result = np.zeros((len(steps), bands, height, width), np.float32)
    if frames == 0 or not seen.any():
        return result, seen
    pixels = image.transpose(0, 2, 3, 1)[:, seen]  # (T, P, C)
    usable = valid[:, seen]
    if day is None:
        days = np.broadcast_to(date[:, None], usable.shape)
    else:
        pixels, usable, days = _by_day(pixels, usable, day[:, seen])
    number = np.arange(frames)[:, None]
    edge = np.full((1, usable.shape[1]), -1)
    # last[k]: number of the last valid frame before frame k; following[k]: of the first valid one from k on.
    last = np.concatenate([edge, np.maximum.accumulate(np.where(usable, number, -1), axis=0)])
    following = np.minimum.accumulate(np.where(usable, number, frames)[::-1], axis=0)[::-1]
    following = np.concatenate([following, edge + 1 + frames])
    column = np.arange(usable.shape[1])
    for position, step in enumerate(steps):
        begun = np.searchsorted(date, step, side="right") if day is None else (days <= step).sum(axis=0)
        before, after = last[begun, column], following[begun, column]
        before, after = np.where(before < 0, after, before), np.where(after == frames, before, after)
        early, late = days[before, column].astype(np.float32), days[after, column].astype(np.float32)
        weight = np.clip((step - early) / np.maximum(late - early, 1), 0, 1).astype(np.float32)[:, None]
        result[position][:, seen] = ((1 - weight) * pixels[before, column] + weight * pixels[after, column]).T
    return result, seen


def _by_day(
    pixels: NDArray[np.float32], usable: NDArray[np.bool_], day: NDArray[np.int32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.int32]]:
    """Each pixel's observations (T, P) in the order of their days: the valid ones first, one for each day."""
    never = np.iinfo(np.int32).max
    days = np.where(usable, day, never).astype(np.int32)
    order = np.argsort(days, axis=0, kind="stable")
    days = np.take_along_axis(days, order, axis=0)
    pixels = np.take_along_axis(pixels, order[:, :, None], axis=0)
    last_of_day = np.ones(days.shape, bool)
    last_of_day[:-1] = days[:-1] != days[1:]
    return pixels, last_of_day & (days < never), days
