"""Series of several sensors as one: all bands side by side on the channels, on the pixels of the first sensor.

Most published networks of satellite time series read one series with one list of dates. Sensors are stacked if their
series have the same steps (interpolated series and composites); coarse pixels are repeated on the target grid.

Shape letters: B samples, T frames, C channels of all sensors, H W rows and columns of the target grid, h w cells.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from einops import rearrange, repeat
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from agrifm.errors import ModelError, did_you_mean
from agrifm.models.agrifm.timeseries import Images, ObservedSeries, season_steps
from agrifm.record import SensorRecord, SeriesKind
from agrifm.validation import Frozen


class StackedConfig(Frozen):
    """What every network that reads stacked series needs to know of them."""

    channels: dict[str, int] = Field(min_length=1)
    """Bands of each sensor; the first one's pixels are the target grid."""
    classes: int = Field(gt=0)
    """Scores per pixel."""
    frames: int = Field(gt=0)
    """Steps of interpolated series and composites; observed series have any number."""
    season_days: int = Field(gt=0)
    """Length of the season, from which the steps of interpolated series have their days."""


class StackedSeries(NamedTuple):
    """One series with the bands of all sensors."""

    image: Tensor
    """(B, T, C, H, W) float32, normalised; 0, the mean, where a pixel or band is not valid or a sensor is absent."""
    valid: Tensor
    """(B, T, H, W) bool, True where any sensor has a usable observation; padded frames have none."""
    day: Tensor
    """(B, T, H, W), days since the season's first day, of the first sensor that is valid there."""

    def padded(self, multiple: int, least: int = 1) -> "StackedSeries":
        """Return the series with invalid pixels below and to the right of it, for sides that a network can divide.

        Args:
            multiple: of which each side becomes a multiple.
            least: smallest side.
        """
        down, right = (max(least, -(-side // multiple) * multiple) - side for side in self.image.shape[-2:])
        if not down and not right:
            return self
        edges = (0, right, 0, down)
        return StackedSeries(*(functional.pad(part, edges) for part in self))

    def whole_frames(self) -> "StackedSeries":
        """Return the series with all pixels of a frame valid if one is: public code knows padded frames only."""
        any_pixel = self.valid.flatten(2).any(dim=2)[:, :, None, None]
        return self._replace(valid=any_pixel.expand_as(self.valid))

    def cells(self, side: int) -> tuple[Tensor, Tensor]:
        """Which cells of `side` x `side` pixels have a valid pixel, and the mean day of these pixels.

        Returns:
            (B, T, h, w) bool and (B, T, h, w), 0 in cells without a valid pixel.
        """
        if side == 1:
            return self.valid, self.day
        usable = self.valid.to(self.image.dtype)
        # sums of differences from one day of the frame, so that equal days give exactly this day
        zero = torch.zeros((), dtype=self.day.dtype, device=self.day.device)
        latest = torch.where(self.valid, self.day, zero).amax(dim=(2, 3), keepdim=True)
        earlier = functional.avg_pool2d(torch.where(self.valid, latest - self.day, zero), side)
        share = functional.avg_pool2d(usable, side)
        known = share > 0
        return known, torch.where(known, latest - earlier / share.clamp(min=1 / side**2), zero)


def stack_sensors(images: Images, channels: Mapping[str, int], season_days: int) -> StackedSeries:
    """Stack what a network receives by sensor; a sensor that is absent counts as its mean.

    Args:
        images: as `agrifm.models.classifier.Classifier` gives them; all series have the same frames.
        channels: bands of each sensor; the first one's pixels are the target grid.
        season_days: length of the season.
    """
    present = {name: _plain(series, season_days) for name in channels if (series := images[name]) is not None}
    image = stack_channels({name: present[name].image if name in present else None for name in channels}, channels)
    H, W = image.shape[-2:]
    valid: Tensor | None = None
    day: Tensor | None = None
    for one in present.values():
        usable, days = _enlarged(one.valid, H, W), _enlarged(one.day, H, W)
        day = days if valid is None or day is None else torch.where(valid, day, days)
        valid = usable if valid is None else valid | usable
    assert valid is not None
    assert day is not None
    return StackedSeries(image, valid, day)


def stack_channels(images: Mapping[str, object], channels: Mapping[str, int]) -> Tensor:
    """Return the images of all sensors side by side on channels, coarse pixels repeated, as (B, T, C, H, W).

    Args:
        images: (B, T, C, H, W) by sensor, all with the same frames; None = absent, which counts as 0, the mean.
        channels: bands of each sensor; the first one's pixels are the target grid.
    """
    first = images[next(iter(channels))]
    assert isinstance(first, Tensor), "the first sensor is always present"
    B, T, _, H, W = first.shape
    parts = []
    for name, bands in channels.items():
        image = images[name]
        if image is None:
            parts.append(first.new_zeros(B, T, bands, H, W))
            continue
        assert isinstance(image, Tensor), "images, not series"
        assert image.shape[1] == T, "sensors are stacked if their series have the same frames"
        parts.append(_enlarged(image, H, W))
    return torch.cat(parts, dim=2)


def _plain(series: Tensor | ObservedSeries, season_days: int) -> StackedSeries:
    """One sensor on its grid; interpolated series are valid everywhere, at the middle days of equal periods."""
    if isinstance(series, ObservedSeries):
        day = series.day if series.day.ndim == 4 else series.day[:, :, None, None].expand(series.valid.shape)
        return StackedSeries(series.filled, series.valid, day.float())
    B, T, _, H, W = series.shape
    day = season_steps(season_days, T).to(series.device)
    valid = torch.ones(B, T, H, W, dtype=torch.bool, device=series.device)
    return StackedSeries(series, valid, day[None, :, None, None].expand(B, T, H, W))


def _enlarged(x: Tensor, H: int, W: int) -> Tensor:
    """Coarse pixels repeated on the target grid of H x W pixels; the last ones may reach beyond it."""
    ratio = -(-H // x.shape[-2])
    if ratio == 1:
        return x
    return repeat(x, "... h w -> ... (h r) (w s)", r=ratio, s=ratio)[..., :H, :W]


def stacked_shape(
    title: str, sensors: Sequence[SensorRecord], classes: int, frames: int, series: SeriesKind, season_days: int
) -> dict[str, Any]:
    """Return the fields of `StackedConfig` for a network that is to read these series.

    Args:
        title: name of the network, for the error.

    Raises:
        ModelError: observed series of several sensors, whose dates differ, so that they cannot be stacked.
    """
    names = [sensor.sensor for sensor in sensors]
    if series == "observed" and len(names) > 1:
        raise ModelError(
            f"building a {title}: it reads observed series of one sensor only, because it has one list of dates (found "
            f'{", ".join(names)}); set `series` to "composites" or "interpolated", or fetch one sensor only',
            sensors=tuple(names),
        )
    channels = {sensor.sensor: len(sensor.bands) for sensor in sensors}
    return {"channels": channels, "classes": classes, "frames": frames, "season_days": season_days}


def chosen_preset(title: str, presets: Mapping[str, Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    """Return the fields of a network of a usual size.

    Args:
        title: name of the network, for the error.

    Raises:
        ModelError: the preset is unknown.
    """
    if name not in presets:
        raise ModelError(
            f"building a {title}: unknown preset '{name}'{did_you_mean(name, presets)} (known: {', '.join(presets)})",
            preset=name,
        )
    return presets[name]


def pixels_of(x_BTCHW: Tensor) -> Tensor:
    """The series of single pixels, (B H W, T, C)."""
    return rearrange(x_BTCHW, "b t c h w -> (b h w) t c")
