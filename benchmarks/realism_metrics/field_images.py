"""Metrics of images of fields, the same for real and simulated ones: lines e, f and g."""

import numpy as np
from numpy.typing import NDArray
from realism_metrics.read import BandImages, ModisSeries
from scipy.ndimage import binary_erosion

MIN_FIELD_PIXELS = 300
"""Minimum size of fields, in pixels of 10 m."""
MIN_COMMON_PIXELS = 1000
"""Minimum number of pixels per day that are clear for both sensors."""
SOYBEAN_MONTHS = slice(1, 6)
"""October to February, counted from September: sowing to harvest of soybean in Mato Grosso."""


def within_fields(images: BandImages, field: NDArray[np.int32]) -> dict[str, float]:
    """Line e: NDVI of June to August inside fields of at least `MIN_FIELD_PIXELS` pixels, edges eroded by one pixel.

    Days count if all pixels of a field are usable. The autocorrelation of a field-day is the mean product of the
    deviations of pixels 10 or 40 m apart along rows and columns, divided by the variance. Results are medians of
    field-days.
    """
    summer = np.flatnonzero(np.isin(images.day.astype("datetime64[M]").astype(int) % 12, (5, 6, 7)))
    field_days: list[tuple[float, float, float]] = []
    fields = 0
    for number in np.unique(field[field >= 0]):
        inside = field == number
        if np.count_nonzero(inside) < MIN_FIELD_PIXELS:
            continue
        rows, columns = (slice(index.min(), index.max() + 1) for index in np.nonzero(inside))
        inside = binary_erosion(inside[rows, columns])
        fields += 1
        ndvi, usable = images.ndvi[summer, rows, columns], images.usable[summer, rows, columns]
        for frame in np.flatnonzero(usable[:, inside].all(axis=1)) if inside.any() else ():
            deviation = np.where(inside, ndvi[frame] - ndvi[frame][inside].mean(), np.nan)
            near, far = (_autocorrelation(deviation, lag) for lag in (1, 4))
            field_days.append((float(np.nanstd(deviation)), near, far))
    medians = np.nanmedian(field_days, axis=0) if field_days else np.full(3, np.nan)
    return {
        "fields measured within": float(fields),
        "deviation of summer NDVI within fields, median": float(medians[0]),
        "autocorrelation of summer NDVI at 10 m": float(medians[1]),
        "autocorrelation of summer NDVI at 40 m": float(medians[2]),
    }


def _autocorrelation(deviation: NDArray[np.float32], lag: int) -> float:
    """Autocorrelation of deviations from the mean (H, W), NaN = outside, at a distance in pixels along both axes."""
    across, down = deviation[:, lag:] * deviation[:, :-lag], deviation[lag:] * deviation[:-lag]
    products = np.concatenate([across.ravel(), down.ravel()])
    products = products[np.isfinite(products)]
    return float(products.mean() / np.nanmean(deviation**2)) if products.size else np.nan


def same_day(sentinel: BandImages, landsat: BandImages) -> dict[str, float]:
    """Line f: standard deviation of Sentinel-2 minus Landsat over common usable pixels, on days with enough of them."""
    deviations = []
    for frame, day in enumerate(landsat.day):
        for other in np.flatnonzero(sentinel.day == day):
            both = landsat.usable[frame] & sentinel.usable[other]
            if np.count_nonzero(both) >= MIN_COMMON_PIXELS:
                red = sentinel.red[other] - landsat.red[frame]
                near_infrared = sentinel.near_infrared[other] - landsat.near_infrared[frame]
                deviations.append((float(red[both].std()), float(near_infrared[both].std())))
    if not deviations:
        return {}
    extremes = {
        f"Sentinel-2 less Landsat, deviation in {band}, {which} day": choose(day[number] for day in deviations)
        for number, band in enumerate(("red", "near infrared"))
        for which, choose in (("least", min), ("greatest", max))
    }
    return {"days of both sensors": float(len(deviations)), **extremes}


def coarse_series(series: ModisSeries) -> dict[str, float]:
    """Line g: noise of monthly NDVI and the time of the soybean peak, from composites of single MODIS pixels.

    Noise: root mean square distance of a month's mean from the line between its neighbours, divided by the square root
    of 1.5; soybean from October to February, forest over the year. It includes the curvature of the season, in both
    sets. Deviations from the median of other pixels would count sowing dates as noise: the real samples are from a few
    neighbouring farms, the simulated ones from many fields. Peak: median over the pixels of the time of maximum NDVI
    from October to February.
    """
    inside = np.floor(series.month)[:, None] == np.arange(12)[:, None]
    count = (inside & np.isfinite(series.ndvi)[:, None]).sum(axis=2)
    total = np.where(inside, np.nan_to_num(series.ndvi)[:, None], 0).sum(axis=2)
    monthly = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    bends = (monthly[:, 1:-1] - (monthly[:, :-2] + monthly[:, 2:]) / 2) / np.sqrt(1.5)
    soybean = series.label == "soybean"
    season = (series.month >= SOYBEAN_MONTHS.start) & (series.month < SOYBEAN_MONTHS.stop)
    best = np.where(season & np.isfinite(series.ndvi), series.ndvi, -1)[soybean].argmax(axis=1)
    peak = np.take_along_axis(series.month[soybean], best[:, None], axis=1)
    within = slice(SOYBEAN_MONTHS.start, SOYBEAN_MONTHS.stop - 2)  # bends at November to January
    return {
        "MODIS pixels of soybean": float(np.count_nonzero(soybean)),
        "MODIS pixels of forest": float(np.count_nonzero(series.label == "forest")),
        "month-to-month noise of NDVI, soybean": float(np.sqrt(np.nanmean(bends[soybean][:, within] ** 2))),
        "month-to-month noise of NDVI, forest": float(np.sqrt(np.nanmean(bends[series.label == "forest"] ** 2))),
        "soybean peak, months after 1 September": float(np.nanmedian(peak)),
    }
