"""What was observed, as the network sees it: pixels with their validity and their days, and tokens that know both.

A series of numbers alone is what the released model takes: every frame counts, at equal steps. An `Observed` series
has gaps and dates. Invalid pixels become the mean (0 after normalisation) before anything else, so what stands in
them cannot matter. What tokens learn about dates, gaps and absent bands is an addition with weights that start at
zero: a new model, and one with released weights, begins with the numbers of the plain series.

Shape letters: B samples, T frames, C bands, H W rows and columns, D H W the token grid, P frames per patch, F features.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from agrifm.models.agrifm.window_partition import Triple

YEAR = 365.25
HARMONICS = (1, 2, 3, 4)
"""Of the year, for the day of the year."""
PERIODS = (360.0, 180.0, 90.0, 45.0, 22.5)
"""In days, for the days since the season's start."""
FEATURES = 2 * len(HARMONICS) + 2 * len(PERIODS)


class Observed(NamedTuple):
    """A series of one source with what is known about it."""

    image: Tensor
    """(B, T, C, H, W) float32, normalised; what stands in invalid pixels is not seen."""
    valid: Tensor
    """(B, T, H, W) bool, True = usable."""
    day: Tensor
    """(B, T), or for composites (B, T, H, W), days since the season's first day."""
    first_day: Tensor
    """(B,), day of the year of the season's first day, 1..366."""
    absent: Tensor | None = None
    """(B, C) bool, bands that a sample lacks; None = none."""
    frames: Tensor | None = None
    """(B,), frames that a sample has, where the rest only fills up the batch; None = all."""

    @property
    def seen(self) -> Tensor:
        """The image with invalid pixels and absent bands at the mean, (B, T, C, H, W)."""
        usable = self.valid[:, :, None]
        if self.absent is not None:
            usable = usable & ~self.absent[:, None, :, None, None]
        return torch.where(usable, self.image, torch.zeros((), dtype=self.image.dtype, device=self.image.device))


Images = Mapping[str, Tensor | Observed | None]
"""By source: images (B, T, C, H, W) or an observed series; None where the source is absent."""


def image_of(series: Tensor | Observed) -> Tensor:
    """The images of a series, plain or observed."""
    return series.image if isinstance(series, Observed) else series


def frames_of(image: Tensor) -> int:
    """Length of a plain series; without a time axis it is one frame."""
    return image.shape[1] if image.ndim == 5 else 1


class Tokens(NamedTuple):
    """A token grid, and how much of each token was seen."""

    grid: Tensor
    """(B, D, H, W, C)."""
    share: Tensor | None
    """(B, D, H, W), share of usable pixels of each token, 0..1; None = every token counts fully."""


def day_features(day: Tensor, first_day: Tensor) -> Tensor:
    """Smooth features of dates (..., F): harmonics of the year, and of the days since the season's start.

    Args:
        day: (B, ...), days since the season's first day.
        first_day: (B,), day of the year of that day.
    """
    first = first_day.reshape(-1, *(1,) * (day.ndim - 1)).to(day.dtype)
    of_year = [2 * math.pi * k / YEAR * (day + first) for k in HARMONICS]
    of_season = [2 * math.pi / period * day for period in PERIODS]
    angle = torch.stack([*of_year, *of_season], dim=-1)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


def shares(observed: Observed, patch: Triple) -> tuple[Tensor, Tensor]:
    """Share of usable pixels per frame (B, T', h, w) and per token (B, D, h, w); padding is no pixel.

    T' is T rounded up to whole patches; the share of a frame that pads is 0.
    """
    p, h, w = patch
    valid = observed.valid.to(observed.image.dtype)
    by_frame = mean_of_pixels(valid, (h, w))
    T = by_frame.shape[1]
    frames = valid.new_full((valid.shape[0],), T) if observed.frames is None else observed.frames
    real = frames[:, None] - torch.arange(0, T, p, device=valid.device)
    by_frame = functional.pad(by_frame, (0, 0, 0, 0, 0, -T % p))
    total = rearrange(by_frame, "b (d p) h w -> b d p h w", p=p).sum(dim=2)
    return by_frame, total / real.clamp(min=1, max=p)[..., None, None].to(total.dtype)


def mean_of_pixels(x_BTHW: Tensor, side: tuple[int, int]) -> Tensor:
    """Mean over squares of pixels (B, T, h, w); those cut at the end of the image count the pixels that are there."""
    return functional.avg_pool2d(x_BTHW, side, ceil_mode=True, count_include_pad=False)


class ObservationCode(nn.Module):
    """What is added to each token for its dates, its share of usable pixels and its absent bands; zero at first.

    Dates and shares scale the token and shift it (feature-wise linear modulation, Perez et al. 2018): the same
    greenness means another crop on another day, which a shift alone says only through many layers. Dates are those
    of the frames of a token, each counted by its share of usable pixels; of composites the pixels' own days.
    """

    def __init__(self, channels: int, dim: int, patch: Triple, dates: bool, validity: bool) -> None:
        super().__init__()
        self.patch, self.dates, self.validity = patch, dates, validity
        per_frame = (FEATURES if dates else 0) + (1 if validity else 0)
        self.frames = nn.Linear(patch[0] * per_frame, 2 * dim, bias=False)
        self.bands = nn.Linear(channels, dim, bias=False)
        nn.init.zeros_(self.frames.weight)
        nn.init.zeros_(self.bands.weight)

    def forward(self, tokens_BDHWC: Tensor, observed: Observed, by_frame_BTHW: Tensor) -> Tensor:
        """What is added to the tokens (B, D, H, W, C), for the shares per frame of `shares`."""
        parts = []
        if self.validity:
            parts.append(by_frame_BTHW[..., None] - 1)
        if self.dates:
            parts.append(self._dates(observed, by_frame_BTHW))
        features = torch.cat(parts, dim=-1).to(observed.image.dtype)
        code = self.frames(rearrange(features, "b (d p) h w f -> b d h w (p f)", p=self.patch[0]))
        scale, shift = code.chunk(2, dim=-1)
        code = tokens_BDHWC * scale + shift
        if observed.absent is not None:
            code = code + self.bands(observed.absent.to(code.dtype))[:, None, None, None]
        found: Tensor = code
        return found

    def _dates(self, observed: Observed, by_frame_BTHW: Tensor) -> Tensor:
        """(B, T', h, w, F)."""
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
    """The middle days (F,) of equal periods of a season of so many days, counted from its first day."""
    return ((torch.arange(frames) + 0.5) * days / frames).floor()


def at_steps(observed: Observed, steps: Tensor) -> Tensor:
    """Valid observations interpolated linearly in time to `steps` (F,), days since the season's first: (B, F, C, H, W).

    Before a pixel's first and after its last valid observation its nearest one is repeated; a pixel without any is 0.
    The same arithmetic as `agrifm.cube.temporal.interpolate`, on tensors.
    """
    image_BPTC = rearrange(observed.seen, "b t c h w -> b (h w) t c")
    valid_BPT = rearrange(observed.valid, "b t h w -> b (h w) t")
    day = observed.day if observed.day.ndim == 4 else observed.day[:, :, None, None].expand(observed.valid.shape)
    never = torch.finfo(torch.float32).max
    day_BPT = torch.where(valid_BPT, rearrange(day, "b t h w -> b (h w) t").float(), torch.full((), never))
    # exported graphs know no stable sort by that name; onnxruntime's (TopK) and PyTorch's on a processor are stable
    day_BPT, order = day_BPT.sort(dim=-1) if torch.compiler.is_exporting() else day_BPT.sort(dim=-1, stable=True)
    image_BPTC = image_BPTC.gather(2, order[..., None].expand_as(image_BPTC))
    known = valid_BPT.sum(dim=-1, keepdim=True)
    wanted = steps.to(day_BPT).expand(*day_BPT.shape[:2], -1).contiguous()
    last = (known - 1).clamp(min=0)
    begun = _not_after(day_BPT, wanted)
    next_day = day_BPT.gather(2, begun.clamp(max=day_BPT.shape[-1] - 1))
    # of two on one day the later frame counts
    after = torch.minimum(_not_after(day_BPT, next_day) - 1, last)
    before = torch.where(begun > 0, torch.minimum(begun - 1, last), after)
    early, late = day_BPT.gather(2, before), day_BPT.gather(2, after)
    weight = ((wanted - early) / (late - early).clamp(min=1)).clamp(0, 1)[..., None].to(image_BPTC)
    bands = (-1, -1, -1, image_BPTC.shape[-1])
    first, second = (image_BPTC.gather(2, at[..., None].expand(bands)) for at in (before, after))
    found = ((1 - weight) * first + weight * second) * (known > 0)[..., None]
    return rearrange(found, "b (h w) f c -> b f c h w", h=observed.valid.shape[2])


def _not_after(day_BPT: Tensor, until_BPF: Tensor) -> Tensor:
    """How many of the ascending days of each pixel are not after each of some other days, (B, P, F) int64."""
    if torch.compiler.is_exporting():  # graphs of other runtimes know no search
        return (day_BPT[:, :, None] <= until_BPF[..., None]).sum(dim=-1)
    return torch.searchsorted(day_BPT.contiguous(), until_BPF, right=True)
