"""Whether a sample is what a model takes, asked where the two meet: the first fault is one sentence."""

from collections.abc import Collection, Sequence

import numpy as np

from agrifm.errors import ModelError
from agrifm.record import SensorInput
from agrifm.samples.sample import Sample, Series
from agrifm.season import day_date


def require_usable(sample: Sample, sensors: Sequence[SensorInput], may_lack: Collection[str] = ()) -> None:
    """Refuse a sample that a model of these sensors cannot take.

    Args:
        sensors: what the model expects, in its record.
        may_lack: names of sensors that a sample may lack.

    Raises:
        ModelError: a sensor is unknown or missing, shapes or bands do not fit, an axis has no length, frames are not in
            the order of their dates or twice, or a valid pixel is not a finite number.
    """
    about = f"giving the model a sample of window {sample.window}"
    expected = {sensor.sensor: sensor for sensor in sensors}
    for name in sample.series:
        if name not in expected:
            raise ModelError(
                f"{about}: it has the sensor '{name}', which the model does not know (it takes "
                f"{', '.join(expected)}); leave that sensor out"
            )
    for name, sensor in expected.items():
        if name in sample.series:
            _require_usable_series(sample.series[name], sensor, about)
        elif name not in may_lack:
            raise ModelError(
                f"{about}: it has no sensor '{name}' (it has {', '.join(sample.series) or 'none'}); add that sensor, "
                "or train the model with `sensor_dropout`"
            )
    if not sample.series:
        raise ModelError(f"{about}: it has no sensor at all; add one of {', '.join(expected)}")


def _require_usable_series(series: Series, sensor: SensorInput, about: str) -> None:
    about = f"{about}: '{sensor.sensor}'"
    shape = series.image.shape
    if len(shape) != 4:
        raise ModelError(f"{about} has images with {len(shape)} axes; give (frame, band, row, column)")
    frames, bands, height, width = shape
    if 0 in shape:
        raise ModelError(f"{about} has images of shape {shape}, without one number; give at least one frame and pixel")
    if bands != len(sensor.bands):
        raise ModelError(
            f"{about} has {bands} bands, the model expects {len(sensor.bands)} ({', '.join(sensor.bands)}); "
            "select the bands of the model's record"
        )
    for what, found, fitting in (
        ("validity", series.valid.shape, (frames, height, width)),
        ("dates", series.date.shape, (frames,)),
        ("days", None if series.day is None else series.day.shape, (frames, height, width)),
        ("absent bands", None if series.absent is None else series.absent.shape, (bands,)),
    ):
        if found is not None and found != fitting:
            raise ModelError(f"{about} has {what} of shape {found} beside images of shape {shape}; give {fitting}")
    late = np.flatnonzero(np.diff(series.date) <= 0)
    if len(late):
        before, after = (day_date(int(number)) for number in series.date[late[0] : late[0] + 2])
        fault = f"twice a frame of {before}" if before == after else f"a frame of {after} after one of {before}"
        raise ModelError(f"{about} has {fault}; give every date once, in order, and a season no more frames than days")
    _require_finite(series, sensor, about)


def _require_finite(series: Series, sensor: SensorInput, about: str) -> None:
    with np.errstate(invalid="ignore", over="ignore"):
        total = series.image.sum()
    if np.isfinite(total):  # one pass; only where this fails is it worth asking which number it is
        return
    wrong = ~np.isfinite(series.image) & series.valid[:, None]
    if wrong.any():
        frame, band, row, col = (int(axis[0]) for axis in np.nonzero(wrong))
        raise ModelError(
            f"{about} holds {series.image[frame, band, row, col]} in band '{sensor.bands[band]}' at row {row}, column "
            f"{col} of {day_date(int(series.date[frame]))}, a pixel that is valid; give a number, or mark it not valid"
        )
