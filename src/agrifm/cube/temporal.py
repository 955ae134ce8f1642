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
    is 0 and not valid. Of two valid observations on one day the later frame counts.

    Args:
        image: (T, C, H, W), finite.
        valid: (T, H, W), True = usable.
        date: (T,), not decreasing, days since 1970-01-01.
        steps: (F,), days since 1970-01-01.
        day: (T, H, W), the day of each pixel where frames are composites; not decreasing among a pixel's valid ones.

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
    days = (np.broadcast_to(date[:, None], usable.shape) if day is None else day[:, seen]).astype(np.float32)
    number = np.arange(frames)[:, None]
    edge = np.full((1, usable.shape[1]), -1)
    # last[k]: number of the last valid frame before frame k; following[k]: of the first valid one from k on.
    last = np.concatenate([edge, np.maximum.accumulate(np.where(usable, number, -1), axis=0)])
    following = np.minimum.accumulate(np.where(usable, number, frames)[::-1], axis=0)[::-1]
    following = np.concatenate([following, edge + 1 + frames])
    column = np.arange(usable.shape[1])
    for position, step in enumerate(steps):
        before = last[np.searchsorted(date, step, side="right")]
        # A composite that began by then may hold a later day: take the one before it.
        before = np.where((before >= 0) & (days[before, column] > step), last[before, column], before)
        after = following[before + 1, column]
        before, after = np.where(before < 0, after, before), np.where(after == frames, before, after)
        early, late = days[before, column], days[after, column]
        weight = np.clip((step - early) / np.maximum(late - early, 1), 0, 1).astype(np.float32)[:, None]
        result[position][:, seen] = ((1 - weight) * pixels[before, column] + weight * pixels[after, column]).T
    return result, seen
