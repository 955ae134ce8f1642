"""Check that a sample fits a model; the first fault is reported in one sentence."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from agrifm.errors import ModelError
from agrifm.record import SensorInput
from agrifm.season import day_date

if TYPE_CHECKING:
    from agrifm.samples.sample import Sample, Series


def require_usable(sample: "Sample", sensors: Sequence[SensorInput], may_lack: Collection[str] = ()) -> None:
    """Refuse a sample that a model of these sensors cannot read.

    Args:
        sensors: what the model expects, from its record.
        may_lack: names of sensors that may be absent.

    Raises:
        ModelError: a sensor is unknown or missing, shapes or bands do not fit, an axis has no length, dates repeat or
            are not in order, or a valid pixel is not a finite number.
    """
    about = f"giving the model a sample of window {sample.window}"
    expected = {sensor.sensor: sensor for sensor in sensors}
    for name in sample.series:
        if name not in expected:
            raise ModelError(
                f"{about}: it has the sensor '{name}', but the model was trained on {', '.join(expected)}; leave "
                f"'{name}' out",
                sensor=name,
            )
    for name, sensor in expected.items():
        if name in sample.series:
            _require_usable_series(sample.series[name], sensor, about)
        elif name not in may_lack:
            raise ModelError(
                f"{about}: the sensor '{name}' is missing (it has {', '.join(sample.series) or 'none'}); add that "
                "sensor, or train the model with `sensor_dropout`",
                sensor=name,
            )
    if not sample.series:
        raise ModelError(f"{about}: it has no sensors; add one of {', '.join(expected)}", sensor=None)


def _require_usable_series(series: "Series", sensor: SensorInput, about: str) -> None:
    about = f"{about}: '{sensor.sensor}'"
    shape = series.image.shape
    if len(shape) != 4:
        raise ModelError(f"{about} has images with {len(shape)} axes; give (frame, band, row, column)", shape=shape)
    frames, bands, height, width = shape
    if 0 in shape:
        raise ModelError(f"{about} has empty images, of shape {shape}; give at least one frame and pixel", shape=shape)
    if bands != len(sensor.bands):
        raise ModelError(
            f"{about} has {bands} bands, the model expects {len(sensor.bands)} ({', '.join(sensor.bands)}); "
            "select the bands of the model's record",
            bands=bands,
        )
    for what, actual, wanted in (
        ("validity", series.valid.shape, (frames, height, width)),
        ("dates", series.date.shape, (frames,)),
        ("days", None if series.day is None else series.day.shape, (frames, height, width)),
        ("absent bands", None if series.absent is None else series.absent.shape, (bands,)),
    ):
        if actual is not None and actual != wanted:
            raise ModelError(
                f"{about} has {what} of shape {actual}, but images of shape {shape}; give {what} of shape {wanted}",
                shape=actual,
            )
    late = np.flatnonzero(np.diff(series.date) <= 0)
    if len(late):
        before, after = (day_date(int(number)) for number in series.date[late[0] : late[0] + 2])
        fault = f"two frames of {before}" if before == after else f"a frame of {after} after one of {before}"
        raise ModelError(f"{about} has {fault}; give each date once, in order", dates=(before, after))
    _require_finite(series, sensor, about)


def _require_finite(series: "Series", sensor: SensorInput, about: str) -> None:
    with np.errstate(invalid="ignore", over="ignore"):
        total = series.image.sum()
    if np.isfinite(total):  # one pass over the images; the search for the pixel is needed only if it fails
        return
    wrong = ~np.isfinite(series.image) & series.valid[:, None]
    if wrong.any():
        frame, band, row, col = (int(axis[0]) for axis in np.nonzero(wrong))
        raise ModelError(
            f"{about} has the value {series.image[frame, band, row, col]} in band '{sensor.bands[band]}' at row {row}, "
            f"column {col} of {day_date(int(series.date[frame]))}, and the pixel is marked valid; give a finite "
            "number, or mark the pixel invalid",
            band=sensor.bands[band],
            row=row,
            column=col,
            date=day_date(int(series.date[frame])),
        )
