"""Series in time: interpolate irregular observations to steps, or choose the best of them. Pure functions."""

import numpy as np
from numpy.typing import NDArray

from agrifm.season import Season, day_number


def interpolate(
    image: NDArray[np.float32],
    valid: NDArray[np.bool_],
    date: NDArray[np.int32],
    steps: NDArray[np.int32],
    day: NDArray[np.int32] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Interpolate valid observations linearly in time to `steps`, per pixel.

    Before a pixel's first and after its last valid observation, the nearest one is repeated; a pixel without any is 0
    and not valid.

    Args:
        image: (T, C, H, W), finite.
        valid: (T, H, W), True = usable.
        date: (T,), increasing, days since 1970-01-01.
        steps: (F,), days since 1970-01-01.
        day: (T, H, W), the day of each pixel if frames are composites; in any order, as composites overlap at New
            Year. Of two valid observations of a pixel on one day the later frame is used.

    Returns:
        Image (F, C, H, W) float32, and valid (H, W): whether the pixel was ever observed.
    """
    frames, bands, height, width = image.shape
    observed: NDArray[np.bool_] = np.asarray(valid.any(axis=0))
    result = np.zeros((len(steps), bands, height, width), np.float32)
    if frames == 0 or not observed.any():
        return result, observed
    # Pixels without any observation are left out.
    pixels = image.transpose(0, 2, 3, 1)[:, observed]  # (T, P, C)
    usable = valid[:, observed]
    if day is None:
        days = np.broadcast_to(date[:, None], usable.shape)
    else:
        pixels, usable, days = _by_day(pixels, usable, day[:, observed])
    number = np.arange(frames)[:, None]
    edge = np.full((1, usable.shape[1]), -1)
    # last[k]: index of the last valid frame before frame k; following[k]: of the first valid one from k on.
    last = np.concatenate([edge, np.maximum.accumulate(np.where(usable, number, -1), axis=0)])
    following = np.minimum.accumulate(np.where(usable, number, frames)[::-1], axis=0)[::-1]
    following = np.concatenate([following, edge + 1 + frames])
    column = np.arange(usable.shape[1])
    # Step by step: the arrays of one step are small, those of all steps would be as large as the result.
    for position, step in enumerate(steps):
        begun = np.searchsorted(date, step, side="right") if day is None else (days <= step).sum(axis=0)
        before, after = last[begun, column], following[begun, column]
        # Outside of the observations both are the nearest one.
        before, after = np.where(before < 0, after, before), np.where(after == frames, before, after)
        early, late = days[before, column].astype(np.float32), days[after, column].astype(np.float32)
        # Two observations of one day have no distance: the limit of 1 avoids a division by 0.
        weight = np.clip((step - early) / np.maximum(late - early, 1), 0, 1).astype(np.float32)[:, None]
        result[position][:, observed] = ((1 - weight) * pixels[before, column] + weight * pixels[after, column]).T
    return result, observed


def nearest_of_periods(
    image: NDArray[np.float32],
    valid: NDArray[np.bool_],
    date: NDArray[np.int32],
    season: Season,
    frames: int,
    day: NDArray[np.int32] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.int32]]:
    """The valid observation nearest the middle of each of `frames` equal periods of a season, per pixel.

    An observation belongs to the period that holds the noon of its day; one outside the season to none. Of two at the
    same distance from the middle the earlier is used; of two on one day the later frame.

    Args:
        image: (T, C, H, W), finite.
        valid: (T, H, W), True = usable.
        date: (T,), days since 1970-01-01.
        frames: number of periods F.
        day: (T, H, W), the day of each pixel if frames are composites.

    Returns:
        Image (F, C, H, W) float32, 0 where not valid; valid (F, H, W); and the day of each observation (F, H, W) int32,
        the middle day of the period if there is none.
    """
    days = (date[:, None, None] if day is None else day).astype(np.int64)
    period = np.searchsorted(season.periods(frames), days, side="right") - 1
    # Distances in units of 1 / (2 x frames) of a day are whole numbers, so that no rounding decides between two days.
    noon = 2 * (days - day_number(season.start)) + 1
    from_middle = noon * frames - (2 * period + 1) * season.days
    number = np.arange(len(date))[:, None, None]
    rank = (2 * np.abs(from_middle) + (from_middle > 0)) * len(date) + (len(date) - 1 - number)
    # One number orders the candidates of a period: by distance, then earlier before later, then later frame first.
    never = np.iinfo(np.int64).max
    chosen = np.zeros((frames, *image.shape[1:]), np.float32)
    known = np.zeros((frames, *valid.shape[1:]), bool)
    days_used = np.broadcast_to(season.steps(frames)[:, None, None], known.shape).astype(np.int32)
    for index in range(frames):
        inside = period == index
        candidates = np.flatnonzero(inside.any(axis=(1, 2)))
        if not len(candidates):
            continue
        ranks = np.where(inside[candidates] & valid[candidates], rank[candidates], never)
        best, known[index] = candidates[ranks.argmin(axis=0)], ranks.min(axis=0) < never
        best_image = np.take_along_axis(image, best[None, None], axis=0)[0]
        best_day = np.take_along_axis(np.broadcast_to(days, valid.shape), best[None], axis=0)[0]
        chosen[index] = np.where(known[index], best_image, 0)
        days_used[index] = np.where(known[index], best_day, days_used[index])
    return chosen, known, days_used


def clearest(valid: NDArray[np.bool_], most: int) -> NDArray[np.intp]:
    """Indices (F,) of the frames with a valid pixel, in order; if there are more than `most`, the clearest ones.

    Of equally clear frames the earlier ones are kept. If no frame has a valid pixel, the first frame is returned.

    Args:
        valid: (T, H, W), True = usable.
    """
    pixels = valid.sum(axis=(1, 2))
    # Stable: of equally clear frames the earlier ones come first.
    order = np.argsort(-pixels, kind="stable")[:most]
    clear = np.sort(order[pixels[order] > 0])
    return clear if len(clear) else np.arange(len(valid))[:1]


def _by_day(
    pixels: NDArray[np.float32], usable: NDArray[np.bool_], day: NDArray[np.int32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.int32]]:
    """The observations of each pixel (T, P) in the order of their days: the valid ones first, one for each day."""
    never = np.iinfo(np.int32).max
    days = np.where(usable, day, never).astype(np.int32)
    order = np.argsort(days, axis=0, kind="stable")
    days = np.take_along_axis(days, order, axis=0)
    pixels = np.take_along_axis(pixels, order[:, :, None], axis=0)
    # The sort is stable, so the last observation of a day is that of the latest frame.
    last_of_day = np.ones(days.shape, bool)
    last_of_day[:-1] = days[:-1] != days[1:]
    return pixels, last_of_day & (days < never), days
