"""Presto: a transformer over the months of one pixel (Tseng et al. 2023, arXiv:2304.14065, section 3).

Each group of bands in each month is a token, and a month in which a group was not observed has none: its token is
masked in attention. The published code removes masked tokens instead and needs equally many in every row of a batch;
the numbers are the same. To a token is added a code of its month, of its group and of its position in the series.
The mean of all tokens, normalised, describes the pixel, and a linear layer classifies it.

The names of `encoder` are those of the released weights (nasaharvest/presto, MIT), which load from a path. Their code
of the month has two different values only, a sine and a cosine, each repeated. Land cover (Dynamic World) is not given
to the network; the weights have been trained to do without it, and without any group that sensors do not have.

Shape letters: P pixels of all samples, M months, G bands of a group, N tokens, C channels, B samples, K classes, H W
rows and columns.
"""

from collections.abc import Mapping, Sequence

import torch
from einops import rearrange
from pydantic import Field
from torch import Tensor, nn

from agrifm.models.agrifm.timeseries import Images
from agrifm.models.cost import SeriesShape
from agrifm.models.encoder_blocks import EncoderBlock, mean_of_present, present_first, sinusoids, usable_keys
from agrifm.models.monthly import (
    GROUPS,
    MOST_MONTHS,
    TERRAIN,
    MonthlyGroups,
    fixed_embedding,
    group_places,
    month_codes,
    monthly_groups,
    read_places,
    require_groups,
    token_activations,
    token_count,
    with_statistics,
)
from agrifm.models.stacked import chosen_preset
from agrifm.record import SensorRecord, SeriesKind
from agrifm.validation import Frozen

GROUP_ORDER = ("S1", "S2_RGB", "S2_Red_Edge", "S2_NIR_10m", "S2_NIR_20m", "S2_SWIR", "ERA5", "SRTM", "NDVI")
"""Groups in the order of their codes."""
BANDS = {**{name: len(bands) for name, bands in GROUPS.items()}, "NDVI": 1}
"""Bands by group."""
LAND_COVERS = 10
"""Classes of Dynamic World, and a missing one."""
REFLECTANCE = {band: (0.0, 1.0) for names in GROUPS.values() for band in names if band[0] == "B"}
STATISTICS = {
    **REFLECTANCE,
    # (x + 25) / 25 of decibels, (x - 272.15) / 35 of kelvin, x / 0.03 of metres, x / 2000 of metres, x / 50 of degrees
    "VV": (-25.0, 25.0),
    "VH": (-25.0, 25.0),
    "temperature_2m": (272.15, 35.0),
    "total_precipitation": (0.0, 0.03),
    "altitude": (0.0, 2000.0),
    "slope": (0.0, 50.0),
}
"""Shift and divisor of each band in the released training; reflectance, 0..1, is read as it is."""


class PrestoConfig(Frozen):
    """Everything that decides the shape of a network, and whether its encoder is trained."""

    sensors: dict[str, tuple[str, ...]] = Field(min_length=1)
    """Bands in order, by sensor; the first one's pixels are the target grid."""
    classes: int = Field(gt=0)
    """Scores per pixel."""
    months: int = Field(gt=0, le=MOST_MONTHS)
    """Calendar months, from that of the season's first day on."""
    dim: int = Field(128, gt=0, multiple_of=8)
    depth: int = Field(2, gt=0)
    heads: int = Field(8, gt=0)
    location: tuple[float, float] | None = None
    """Latitude and longitude of the training area, degrees, for samples whose place is unknown: a token that every
    pixel has; None = no such token."""
    terrain: bool = False
    """Whether altitude and slope are read, where a sensor has them; networks of older versions did not read them."""
    frozen: bool = False
    """Whether only the linear classifier is trained, and not the encoder."""


class PrestoEncoder(nn.Module):
    """From monthly groups of bands to one vector per pixel."""

    pos_embed: Tensor

    def __init__(self, dim: int, depth: int, heads: int) -> None:
        super().__init__()
        self.eo_patch_embed = nn.ModuleDict({name: nn.Linear(BANDS[name], dim) for name in GROUP_ORDER})
        self.dw_embed = nn.Embedding(LAND_COVERS, dim)
        self.latlon_embed = nn.Linear(3, dim)
        self.month_embed = fixed_embedding(month_codes(dim // 4))
        self.channel_embed = nn.Embedding(len(GROUP_ORDER) + 1, dim // 4)
        sines_cosines = sinusoids(torch.arange(MOST_MONTHS), dim // 2, longest=1000.0)
        # a sine and the cosine of the same frequency in turn
        self.register_buffer("pos_embed", rearrange(sines_cosines, "m (two i) -> 1 m (i two)", two=2).contiguous())
        self.blocks = nn.ModuleList(EncoderBlock(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def forward(self, groups: MonthlyGroups, location_P3: Tensor | None = None) -> Tensor:
        """Return one vector per pixel (P, C).

        Args:
            groups: normalised as in the released training; "SRTM" has one month and no code of it.
            location_P3: unit vectors (`agrifm.models.monthly.unit_vectors`); None = no such token.
        """
        tokens, present = [], []
        if location_P3 is not None:
            tokens.append(self.latlon_embed(location_P3)[:, None])
            present.append(torch.ones_like(groups.month[:, :1], dtype=torch.bool))
        M = groups.month.shape[1]
        month_PMC = self.month_embed(groups.month)
        position_PMC = self.pos_embed[:, :M].expand(month_PMC.shape[0], -1, -1)
        for index, name in enumerate(GROUP_ORDER):
            if name not in groups.value:
                continue
            token = self.eo_patch_embed[name](groups.value[name])
            channel = self.channel_embed.weight[index].expand(*token.shape[:2], -1)
            of_time = (month_PMC, position_PMC)
            if name == TERRAIN:
                of_time = (torch.zeros_like(month_PMC[:, :1]), torch.zeros_like(position_PMC[:, :1]))
            tokens.append(token + torch.cat([of_time[0], channel, of_time[1]], dim=-1))
            present.append(groups.present[name])
        x_PNC, present_PN = present_first(torch.cat(tokens, dim=1), torch.cat(present, dim=1))
        mask = usable_keys(present_PN)
        for block in self.blocks:
            x_PNC = block(x_PNC, mask)
        vector: Tensor = self.norm(mean_of_present(x_PNC, present_PN))
        return vector


class Presto(nn.Module):
    """Presto's encoder on every pixel, and a linear classifier."""

    def __init__(self, config: PrestoConfig) -> None:
        super().__init__()
        self.config = config
        self.places = read_places(config.sensors, config.terrain)
        self.encoder = PrestoEncoder(config.dim, config.depth, config.heads).requires_grad_(not config.frozen)
        if not config.frozen:
            self.encoder.month_embed.requires_grad_(False)
        self.classify = nn.Linear(config.dim, config.classes)

    def forward(self, images: Images) -> Tensor:
        """Return logits (B, K, H, W) on the first sensor's pixels.

        Args:
            images: observed series or composites by sensor, normalised with `presto_statistics`; None where a sensor is
                absent.
        """
        target = next(iter(self.config.sensors))
        location = self.config.location
        groups, (B, H, W) = monthly_groups(
            images, self.places, self.config.months, target, lambda bands: bands, location
        )
        logits = torch.cat([self.classify(self.encoder(part, part.place)) for part in groups.parts()])
        logits_BKHW: Tensor = rearrange(logits, "(b h w) k -> b k h w", b=B, h=H, w=W)
        return logits_BKHW


PRESETS = {
    "base": {"dim": 128, "depth": 2, "heads": 8},  # as released
    # a quarter and a sixteenth of the work, without released weights
    "small": {"dim": 64, "depth": 2, "heads": 4},
    "tiny": {"dim": 32, "depth": 2, "heads": 2},
}


def presto_preset(
    name: str, sensors: Sequence[SensorRecord], classes: int, frames: int, series: SeriesKind, season_days: int
) -> PrestoConfig:
    """Return the configuration of a network of a usual size: `base` (as released), `small` or `tiny`.

    Raises:
        ModelError: the preset is unknown, or the sensors or series are not those that Presto reads
            (`agrifm.models.monthly.require_groups`).
    """
    chosen = chosen_preset("Presto", PRESETS, name)
    months = require_groups("Presto", sensors, series, season_days)
    bands = {sensor.sensor: sensor.bands for sensor in sensors}
    terrain = TERRAIN in group_places(bands)
    return PrestoConfig(sensors=bands, classes=classes, months=months, terrain=terrain, **chosen)


def presto_statistics(sensors: Sequence[SensorRecord]) -> tuple[SensorRecord, ...]:
    """Return the sensors with the statistics of the released training in the bands that Presto reads."""
    return with_statistics(sensors, STATISTICS)


def presto_activations(
    config: PrestoConfig, inputs: Mapping[str, SeriesShape], training: bool, recomputed: bool
) -> float:
    """Estimate the numbers at the peak of one pass, without the weights.

    Args:
        inputs: (B, T, H, W) of the images of each sensor that is present.
    """
    return token_activations(config, config.sensors, inputs, token_count(config), training and not config.frozen)
