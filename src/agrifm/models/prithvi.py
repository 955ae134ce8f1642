"""Prithvi-EO 1.0 and 2.0: a vision transformer over patches of a few frames (Jakubik et al. 2023, arXiv:2310.18660;
Szwarcman et al. 2024, arXiv:2412.02732), with a small decoder that classifies pixels.

The encoder reads three (1.0) or four (2.0) frames of the six bands of HLS that Landsat and Sentinel-2 share. The season
is divided into as many equal parts, and of each part the frame is read that has the most valid pixels, the nearest to
the middle of the part among equals. Positions in time and space are sines and cosines for the grid of the window, so
windows of any size are read; sides are padded to whole patches.

The names of `encoder` are those of the released weights (Apache-2.0), which load from a path; 2.0's year, day and place
("TL") are not given to the network, which was trained to do without them. The published fine-tuning on crops stacks
the frames' tokens and enlarges them by transposed convolutions; the decoder does so in fewer channels.

Shape letters: B samples, T frames of a series, F frames of the network, C bands, D width of the encoder, N tokens,
K classes, H W rows and columns, h w rows and columns of patches.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from einops import rearrange, repeat
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from agrifm.errors import ModelError
from agrifm.models.agrifm.timeseries import Images, ObservedSeries
from agrifm.models.cost import IMAGE_COPIES, SeriesShape
from agrifm.models.encoder_blocks import EncoderBlock, sinusoids
from agrifm.models.stacked import chosen_preset
from agrifm.record import SensorRecord, SeriesKind
from agrifm.sensors import SENSORS
from agrifm.validation import Frozen

BANDS = {
    "hls-s30": ("B02", "B03", "B04", "B8A", "B11", "B12"),
    "landsat": ("B02", "B03", "B04", "B05", "B06", "B07"),
    "sentinel-2": ("B02", "B03", "B04", "B8A", "B11", "B12"),
}
"""Blue, green, red, narrow near infrared and the two of short-wave infrared, by sensor; the first one present is read.
The weights were trained at 30 m."""
STORED_REFLECTANCE = 1e-4
"""Reflectance per unit of the published statistics."""
STATISTICS = {
    1: (
        (775.23, 1080.99, 1228.59, 2497.20, 2204.21, 1610.83),
        (1281.53, 1270.03, 1399.48, 1368.34, 1291.68, 1154.51),
    ),
    2: ((1087.0, 1342.0, 1433.0, 2734.0, 1958.0, 1363.0), (2248.0, 2179.0, 2178.0, 1850.0, 1242.0, 1049.0)),
}
"""Mean and standard deviation of the six bands by version."""
DECODER_WIDTH = 128


class PrithviConfig(Frozen):
    """Everything that decides the shape of a network, and whether its encoder is trained."""

    sensor: str
    """The sensor that is read; its pixels are the target grid."""
    bands: tuple[int, ...] = Field(min_length=6, max_length=6)
    """Numbers of the six bands in the sensor's record."""
    classes: int = Field(gt=0)
    """Scores per pixel."""
    version: int = Field(1, ge=1, le=2)
    """1 or 2, which decides the statistics."""
    frames: int = Field(3, gt=0)
    """Frames that are read."""
    patch: int = Field(16, gt=0)
    """Side of a patch, pixels."""
    dim: int = Field(768, gt=0, multiple_of=16)
    depth: int = Field(12, gt=0)
    heads: int = Field(12, gt=0)
    frozen: bool = False
    """Whether only the decoder is trained, and not the encoder."""


class FramePatchEmbedding(nn.Module):
    """A linear map of each patch of each frame."""

    def __init__(self, bands: int, dim: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv3d(bands, dim, (1, patch, patch), (1, patch, patch))


class PrithviEncoder(nn.Module):
    """From frames to one vector per patch and frame."""

    def __init__(self, dim: int, depth: int, heads: int, patch: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.patch_embed = FramePatchEmbedding(6, dim, patch)
        self.blocks = nn.ModuleList(EncoderBlock(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def forward(self, frames_BCFHW: Tensor) -> Tensor:
        """Return (B, F, h, w, D); sides are multiples of the patch."""
        grid: Tensor = self.patch_embed.proj(frames_BCFHW)
        dim, F, h, w = grid.shape[1:]
        positions = grid_positions(F, h, w, dim).to(grid)
        x_BND = rearrange(grid, "b d f h w -> b (f h w) d") + positions
        x_BND = torch.cat([self.cls_token.expand(x_BND.shape[0], 1, dim), x_BND], dim=1)
        for block in self.blocks:
            x_BND = block(x_BND)
        result: Tensor = rearrange(self.norm(x_BND)[:, 1:], "b (f h w) d -> b f h w d", f=F, h=h, w=w)
        return result


class PrithviDecoder(nn.Module):
    """From vectors of patches to logits of pixels: transposed convolutions enlarge them eight times."""

    def __init__(self, dim: int, width: int, classes: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(dim, width, 1)
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(width, width, 2, 2) for _ in range(3))
        self.norms = nn.ModuleList(nn.GroupNorm(4, width) for _ in range(3))
        self.classify = nn.Conv2d(width, classes, 3, padding=1)

    def forward(self, x_BDhw: Tensor, size: tuple[int, int]) -> Tensor:
        """Return logits (B, K, *size)."""
        x = self.reduce(x_BDhw)
        for enlarge, norm in zip(self.enlarge, self.norms, strict=True):
            x = functional.gelu(norm(enlarge(x)))
        logits: Tensor = self.classify(functional.interpolate(x, size, mode="bilinear", align_corners=False))
        return logits


class Prithvi(nn.Module):
    """Prithvi's encoder on a few frames of the season, and a decoder."""

    def __init__(self, config: PrithviConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = PrithviEncoder(config.dim, config.depth, config.heads, config.patch)
        self.encoder.requires_grad_(not config.frozen)
        self.decoder = PrithviDecoder(config.dim * config.frames, min(config.dim, DECODER_WIDTH), config.classes)

    def forward(self, images: Images) -> Tensor:
        """Return logits (B, K, H, W) on the sensor's pixels.

        Args:
            images: by sensor, normalised with `prithvi_statistics`; other sensors are not read.
        """
        series = images[self.config.sensor]
        assert series is not None, "the sensor is present"
        frames_BFCHW = chosen_frames(series, self.config.frames)[:, :, list(self.config.bands)]
        H, W = frames_BFCHW.shape[-2:]
        patch = self.config.patch
        height, width = (-(-side // patch) * patch for side in (H, W))
        frames_BCFHW = functional.pad(rearrange(frames_BFCHW, "b f c h w -> b c f h w"), (0, width - W, 0, height - H))
        features = rearrange(self.encoder(frames_BCFHW), "b f h w d -> b (f d) h w")
        logits: Tensor = self.decoder(features, (height, width))[..., :H, :W]
        return logits


def chosen_frames(series: Tensor | ObservedSeries, frames: int) -> Tensor:
    """Return one frame of each of `frames` equal parts of a series (B, F, C, H, W); invalid pixels are 0.

    Args:
        series: at least as many frames as parts. Of a part without a valid pixel, its middle frame is returned.
    """
    image = series.filled if isinstance(series, ObservedSeries) else series
    T = image.shape[1]
    edges = [round(part * T / frames) for part in range(frames + 1)]
    chosen = []
    for start, stop in pairwise(edges):
        middle = (start + stop - 1) // 2
        if isinstance(series, ObservedSeries):
            # a share decides, and among equal shares the distance from the middle, which adds less than one pixel
            share = series.valid[:, start:stop].flatten(2).sum(dim=2)
            distance = (torch.arange(start, stop, device=image.device) - middle).abs()
            best = (share * T - distance).argmax(dim=1)
            index = repeat(best, "b -> b 1 c h w", c=image.shape[2], h=image.shape[3], w=image.shape[4])
            chosen.append(image[:, start:stop].gather(1, index))
        else:
            chosen.append(image[:, middle : middle + 1])
    return torch.cat(chosen, dim=1)


def grid_positions(F: int, h: int, w: int, dim: int) -> Tensor:
    """Return the codes of positions (F h w, dim): 6 of 16 parts for the column, 6 for the row, 4 for the frame."""
    part = dim // 16
    columns, rows, frames = (
        sinusoids(torch.arange(length), share * part) for length, share in ((w, 6), (h, 6), (F, 4))
    )
    codes = [
        repeat(columns, "w c -> f h w c", f=F, h=h),
        repeat(rows, "h c -> f h w c", f=F, w=w),
        repeat(frames, "f c -> f h w c", h=h, w=w),
    ]
    return torch.cat(codes, dim=-1).flatten(0, 2)


PRESETS: dict[str, dict[str, int]] = {
    "base": {"version": 1, "frames": 3, "patch": 16, "dim": 768, "depth": 12, "heads": 12},  # EO-1.0-100M
    # narrower, without released weights
    "small": {"version": 1, "frames": 3, "patch": 8, "dim": 256, "depth": 4, "heads": 4},
    "tiny": {"version": 1, "frames": 3, "patch": 4, "dim": 64, "depth": 2, "heads": 4},
}
LAYOUTS: dict[str, dict[str, int]] = {
    "Prithvi-EO-1.0-100M": PRESETS["base"],
    "Prithvi-EO-2.0-300M": {"version": 2, "frames": 4, "patch": 16, "dim": 1024, "depth": 24, "heads": 16},
    "Prithvi-EO-2.0-600M": {"version": 2, "frames": 4, "patch": 14, "dim": 1280, "depth": 32, "heads": 16},
}
"""Shapes of the released networks, by name; their widths differ."""


def prithvi_preset(
    name: str, sensors: Sequence[SensorRecord], classes: int, frames: int, series: SeriesKind, season_days: int
) -> PrithviConfig:
    """Return the configuration of a network of a usual size: `base` (1.0-100M), `small` or `tiny`.

    Raises:
        ModelError: the preset is unknown, no sensor has the six bands on the target grid as surface reflectance, or the
            series has too few frames.
    """
    chosen = chosen_preset("Prithvi", PRESETS, name)
    first = sensors[0]
    wanted = BANDS.get(first.sensor, ())
    if not wanted or not set(wanted) <= set(first.bands) or first.quantity != "surface reflectance":
        lacking = [band for band in wanted if band not in first.bands]
        missing = f", which lacks {', '.join(lacking)}" if lacking else ""
        raise ModelError(
            f"building a Prithvi: it reads six bands of reflectance of the finest sensor, which must be one of "
            f"{', '.join(BANDS)}; found {first.sensor} ({first.quantity}){missing}; fetch these bands, or choose "
            "another model",
            sensor=first.sensor,
            bands=tuple(lacking),
        )
    config = PrithviConfig(
        sensor=first.sensor, bands=tuple(first.bands.index(band) for band in wanted), classes=classes, **chosen
    )
    require_frames(config, frames, series)
    return config


def require_frames(config: PrithviConfig, frames: int, series: SeriesKind) -> None:
    """Refuse series that do not have a frame for each that the network reads.

    Raises:
        ModelError: the series is too short, or has any number of frames.
    """
    if series == "observed" or frames < config.frames:
        found = "observed series, of any number of frames" if series == "observed" else f"{frames} frames"
        raise ModelError(
            f"building a Prithvi: it reads {config.frames} frames, one of each of as many parts of the season; found "
            f'{found}; set `series` to "composites" and `frames` to {config.frames} or more',
            frames=frames,
            series=series,
        )


def released_shape(shapes: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Return the shape, one of `LAYOUTS`, of the released network whose tensors have these shapes.

    Args:
        shapes: by name within the encoder.

    Raises:
        ModelError: no released network is that wide.
    """
    width = (0, *shapes.get("cls_token", ()))[-1]
    for layout in LAYOUTS.values():
        if layout["dim"] == width:
            return layout
    widths = ", ".join(f"{name} ({layout['dim']})" for name, layout in LAYOUTS.items())
    found = f"they are {width} wide" if width else "they have no 'cls_token'"
    raise ModelError(
        f"building a Prithvi from weights: {found}, and the released networks are {widths}; give the weights of one of "
        "them",
        width=width,
    )


def released_encoder(shapes: Mapping[str, Sequence[int]]) -> PrithviEncoder:
    """Return a new encoder of the released network whose tensors have these shapes."""
    layout = released_shape(shapes)
    return PrithviEncoder(layout["dim"], layout["depth"], layout["heads"], layout["patch"])


def prithvi_layout(config: PrithviConfig, shapes: Mapping[str, Sequence[int]], frames: int) -> PrithviConfig:
    """Return the configuration of the released network whose tensors have these shapes.

    Args:
        shapes: by name within the encoder.
        frames: of the series.

    Raises:
        ModelError: no released network is that wide, or the series has too few frames for it.
    """
    config = config.model_copy(update=released_shape(shapes))
    require_frames(config, frames, "composites")
    return config


def prithvi_statistics(config: PrithviConfig, sensors: Sequence[SensorRecord]) -> tuple[SensorRecord, ...]:
    """Return the sensors with the statistics of the released training in the six bands."""
    mean, std = STATISTICS[config.version]
    changed: list[SensorRecord] = []
    for sensor in sensors:
        if sensor.sensor == config.sensor:
            means, stds = list(sensor.mean), list(sensor.std)
            for number, (shift, divisor) in zip(config.bands, zip(mean, std, strict=True), strict=True):
                means[number], stds[number] = STORED_REFLECTANCE * shift, STORED_REFLECTANCE * divisor
            sensor = sensor.model_copy(update={"mean": tuple(means), "std": tuple(stds)})
        changed.append(sensor)
    return tuple(changed)


def prithvi_activations(config: Any, inputs: Mapping[str, SeriesShape], training: bool, recomputed: bool) -> float:
    """Estimate the numbers at the peak of one pass, without the weights.

    Args:
        inputs: (B, T, H, W) of the images of each sensor that is present.
    """
    samples, frames, height, width = inputs[config.sensor]
    bands = len(SENSORS[config.sensor].bands)
    images = IMAGE_COPIES * samples * frames * height * width * bands
    patches = -(-height // config.patch) * -(-width // config.patch)
    tokens = config.frames * patches + 1
    # fused attention keeps no products of all pairs of tokens
    kept = config.depth if training and not config.frozen else 1
    layers = kept * samples * 16 * tokens * config.dim
    enlarged = patches * 64 + height * width
    decoder = samples * enlarged * min(config.dim, DECODER_WIDTH) * (4 if training else 2)
    return float(images + layers + decoder)
