"""Irregular time series as the network reads them: images with validity and dates, tokens that know both, equal steps.

The released model reads a plain series: every frame counts, at equal steps. An `ObservedSeries` has gaps and dates. Its
invalid pixels become the mean (0 after normalisation) before anything else, so their content cannot matter. Dates, gaps
and absent bands change tokens through weights that start at zero, so that a new network, and one with released weights,
begins with the numbers of the plain series.

Shape letters: B samples, T frames, C bands, H W rows and columns, D H W the token grid, P frames per patch (in
interpolation P = H W pixels), F features of a date (in interpolation F steps).
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from agrifm.models.agrifm.window_partition import Triple

DAYS_PER_YEAR = 365.25
YEAR_HARMONICS = (1, 2, 3, 4)
"""Multiples of one cycle per year, for the day of the year: the climate repeats every year."""
SEASON_PERIODS_DAYS = (360.0, 180.0, 90.0, 45.0, 22.5)
"""For the days since the season's start: from the whole season down to the growth of a few weeks."""
DATE_FEATURES = 2 * len(YEAR_HARMONICS) + 2 * len(SEASON_PERIODS_DAYS)
"""Sine and cosine of each."""


class ObservedSeries(NamedTuple):
    """An irregular series of one source: images with their validity and dates."""

    image: Tensor
    """(B, T, C, H, W) float32, normalised; the content of invalid pixels is ignored."""
    valid: Tensor
    """(B, T, H, W) bool, True = usable."""
    day: Tensor
    """(B, T), or for composites (B, T, H, W), days since the season's first day."""
    first_day: Tensor
    """(B,), day of the year of the season's first day, 1..366."""
    absent: Tensor | None = None
    """(B, C) bool, True = the sample lacks this band; None = no sample lacks any."""
    frames: Tensor | None = None
    """(B,), number of frames of each sample; those after them fill up the batch. None = every frame counts."""
    place: Tensor | None = None
    """(B, 2), latitude and longitude, degrees, NaN where they are unknown; None = all are."""

    @property
    def filled(self) -> Tensor:
        """The image with invalid pixels and absent bands at the mean, (B, T, C, H, W)."""
        usable = self.valid[:, :, None]
        if self.absent is not None:
            usable = usable & ~self.absent[:, None, :, None, None]
        return torch.where(usable, self.image, torch.zeros((), dtype=self.image.dtype, device=self.image.device))


Images = Mapping[str, Tensor | ObservedSeries | None]
"""By source: images (B, T, C, H, W) or an observed series; None where the source is absent."""


def image_of(series: Tensor | ObservedSeries) -> Tensor:
    """Return the images of a plain or observed series."""
    return series.image if isinstance(series, ObservedSeries) else series


def frames_of(image: Tensor) -> int:
    """Number of frames of images; without a time axis it is one."""
    return image.shape[1] if image.ndim == 5 else 1


class Tokens(NamedTuple):
    """A token grid, and the usable part of each token."""

    grid: Tensor
    """(B, D, H, W, C)."""
    share: Tensor | None
    """(B, D, H, W), share of usable pixels in each token, 0..1; None = every token counts fully."""


def day_features(day: Tensor, first_day: Tensor) -> Tensor:
    """Smooth features of dates (..., F): sines and cosines over the year and over the season.

    Args:
        day: (B, ...), days since the season's first day.
        first_day: (B,), day of the year of that day.
    """
    # (B,) broadcasts over frames, and over pixels if they have days
    first = first_day.reshape(-1, *(1,) * (day.ndim - 1)).to(day.dtype)
    of_year = [2 * math.pi * k / DAYS_PER_YEAR * (day + first) for k in YEAR_HARMONICS]
    of_season = [2 * math.pi / period * day for period in SEASON_PERIODS_DAYS]
    angle = torch.stack([*of_year, *of_season], dim=-1)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


def valid_shares(observed: ObservedSeries, patch: Triple) -> tuple[Tensor, Tensor]:
    """Share of usable pixels per frame (B, T', h, w) and per token (B, D, h, w); padding does not count.

    T' is T rounded up to whole patches; the share of a padded frame is 0.
    """
    p, h, w = patch
    valid = observed.valid.to(observed.image.dtype)
    by_frame = mean_of_pixels(valid, (h, w))
    T = by_frame.shape[1]
    frames = valid.new_full((valid.shape[0],), T) if observed.frames is None else observed.frames
    # real frames in each token: the last one of a series may hold fewer than a patch
    real = frames[:, None] - torch.arange(0, T, p, device=valid.device)
    by_frame = functional.pad(by_frame, (0, 0, 0, 0, 0, -T % p))
    total = rearrange(by_frame, "b (d p) h w -> b d p h w", p=p).sum(dim=2)
    # a token of padding alone has a sum of 0; min=1 avoids 0 / 0
    return by_frame, total / real.clamp(min=1, max=p)[..., None, None].to(total.dtype)


def mean_of_pixels(x_BTHW: Tensor, side: tuple[int, int]) -> Tensor:
    """Mean over squares of pixels (B, T, h, w); a square that the image cuts is the mean of the pixels inside."""
    return functional.avg_pool2d(x_BTHW, side, ceil_mode=True, count_include_pad=False)


class ObservationEmbedding(nn.Module):
    """What is added to each token for its dates, its share of usable pixels and its absent bands; zero before training.

    Dates and shares scale the token and shift it (feature-wise linear modulation, Perez et al. 2018): the same
    greenness means another crop on another day, and a shift alone expresses that only through many layers. The dates of
    a token are those of its frames, each weighted by its share of usable pixels; composites use the pixels' own days.
    """

    def __init__(self, channels: int, dim: int, patch: Triple, dates: bool, validity: bool) -> None:
        super().__init__()
        self.patch, self.dates, self.validity = patch, dates, validity
        per_frame = (DATE_FEATURES if dates else 0) + (1 if validity else 0)
        self.frames = nn.Linear(patch[0] * per_frame, 2 * dim, bias=False)
        self.bands = nn.Linear(channels, dim, bias=False)
        nn.init.zeros_(self.frames.weight)
        nn.init.zeros_(self.bands.weight)

    def forward(self, tokens_BDHWC: Tensor, observed: ObservedSeries, by_frame_BTHW: Tensor) -> Tensor:
        """Return what is added to the tokens (B, D, H, W, C); `by_frame_BTHW` is the first result of `valid_shares`."""
        parts = []
        if self.validity:
            # minus 1, so that a token without gaps has 0 here and its numbers stay
            parts.append(by_frame_BTHW[..., None] - 1)
        if self.dates:
            parts.append(self._dates(observed, by_frame_BTHW))
        features = torch.cat(parts, dim=-1).to(observed.image.dtype)
        code = self.frames(rearrange(features, "b (d p) h w f -> b d h w (p f)", p=self.patch[0]))
        scale, shift = code.chunk(2, dim=-1)
        code = tokens_BDHWC * scale + shift
        if observed.absent is not None:
            code = code + self.bands(observed.absent.to(code.dtype))[:, None, None, None]
        embedding: Tensor = code
        return embedding

    def _dates(self, observed: ObservedSeries, by_frame_BTHW: Tensor) -> Tensor:
        """Features of the dates (B, T', h, w, F), weighted by the shares of usable pixels."""
        # float32 in any case: days have too many digits for half precision
        features = day_features(observed.day.float(), observed.first_day)
        missing = by_frame_BTHW.shape[1] - features.shape[1]
        if observed.day.ndim == 2:
            features = functional.pad(features, (0, 0, 0, missing))
            return features[:, :, None, None] * by_frame_BTHW[..., None]
        B, T = features.shape[:2]
        known = torch.where(observed.valid[..., None], features, torch.zeros((), device=features.device))
        pooled = mean_of_pixels(rearrange(known, "b t h w f -> (b t) f h w"), self.patch[1:])
        pooled = rearrange(pooled, "(b t) f h w -> b t h w f", b=B, t=T)
        return functional.pad(pooled, (0, 0, 0, 0, 0, 0, 0, missing))


def season_steps(days: int, frames: int) -> Tensor:
    """Middle days (F,) of `frames` equal periods of a season of `days` days, counted from its first day."""
    return ((torch.arange(frames) + 0.5) * days / frames).floor()


def interpolate_to_steps(observed: ObservedSeries, steps: Tensor) -> Tensor:
    """Interpolate the valid observations of each pixel linearly in time to `steps` (F,), as (B, F, C, H, W).

    The result of `agrifm.cube.temporal.interpolate`, on tensors: before a pixel's first and after its last valid
    observation its nearest one is repeated, and a pixel without any is 0.

    Args:
        steps: days since the season's first day, ascending.
    """
    image_BPTC = rearrange(observed.filled, "b t c h w -> b (h w) t c")
    valid_BPT = rearrange(observed.valid, "b t h w -> b (h w) t")
    day = observed.day if observed.day.ndim == 4 else observed.day[:, :, None, None].expand(observed.valid.shape)
    # invalid observations sort behind all others
    never = torch.finfo(torch.float32).max
    day_BPT = torch.where(valid_BPT, rearrange(day, "b t h w -> b (h w) t").float(), torch.full((), never))
    # the exporter does not support `stable`; onnxruntime's sort (TopK) and PyTorch's on a processor are stable anyway
    day_BPT, order = day_BPT.sort(dim=-1) if torch.compiler.is_exporting() else day_BPT.sort(dim=-1, stable=True)
    image_BPTC = image_BPTC.gather(2, order[..., None].expand_as(image_BPTC))
    known = valid_BPT.sum(dim=-1, keepdim=True)
    wanted = steps.to(day_BPT).expand(*day_BPT.shape[:2], -1).contiguous()
    last = (known - 1).clamp(min=0)
    # observations at or before each wanted day; the interpolation runs between the last of them and the next one
    begun = _not_after(day_BPT, wanted)
    next_day = day_BPT.gather(2, begun.clamp(max=day_BPT.shape[-1] - 1))
    # of two observations on one day the later frame counts
    after = torch.minimum(_not_after(day_BPT, next_day) - 1, last)
    before = torch.where(begun > 0, torch.minimum(begun - 1, last), after)
    early, late = day_BPT.gather(2, before), day_BPT.gather(2, after)
    # min=1 for equal days, which have no distance; outside of the observations both are the nearest one
    weight = ((wanted - early) / (late - early).clamp(min=1)).clamp(0, 1)[..., None].to(image_BPTC)
    bands = (-1, -1, -1, image_BPTC.shape[-1])
    first, second = (image_BPTC.gather(2, at[..., None].expand(bands)) for at in (before, after))
    values = ((1 - weight) * first + weight * second) * (known > 0)[..., None]
    return rearrange(values, "b (h w) f c -> b f c h w", h=observed.valid.shape[2])


def _not_after(day_BPT: Tensor, until_BPF: Tensor) -> Tensor:
    """Count, for each pixel, its ascending days that are not after each of `until_BPF`: (B, P, F) int64."""
    if torch.compiler.is_exporting():  # ONNX does not have searchsorted
        return (day_BPT[:, :, None] <= until_BPF[..., None]).sum(dim=-1)
    return torch.searchsorted(day_BPT.contiguous(), until_BPF, right=True)
