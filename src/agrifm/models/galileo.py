"""Galileo: a transformer over patches and months (Tseng et al. 2025, arXiv:2502.09356, section 3), its size nano.

Each group of bands in each patch and month is a token; the weather of a month and the place have tokens of their own.
To a token is added the code of its group, of its position in the series, of its month and of its position in the
image. Patches of 1 to 8 pixels share one kernel, resized as in FlexiViT (Beyer et al. 2023, eq. 3). Tokens that were
not observed are masked in attention. The mean of all tokens after normalisation describes the image.

`Galileo` describes each pixel by itself, with patches of one pixel, as the paper does with series of single pixels, so
the same weights read windows and samples of one pixel. The names of `encoder` are those of the released weights
(nasaharvest/galileo, MIT), which load from a path. Land cover, night lights and population are not given to the
network; the weights have been trained to do without them, and without any group that sensors do not have.

Shape letters: B images (or pixels), h w rows and columns of patches, T months, G bands of a group, N tokens,
C channels, K classes, H W rows and columns.
"""

from collections.abc import Mapping, Sequence

import torch
from einops import rearrange, repeat
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

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

SPACE_TIME = ("S1", "S2_RGB", "S2_Red_Edge", "S2_NIR_10m", "S2_NIR_20m", "S2_SWIR", "NDVI")
"""Groups that differ in space and time, in the order of their codes."""
BANDS = {**{name: len(GROUPS[name]) for name in SPACE_TIME}, "NDVI": 1}
SPACE = {"SRTM": 2, "DW": 9, "WC": 5}
TIME = {"ERA5": 2, "TC": 3, "VIIRS": 1}
STATIC = {"LS": 1, "location": 3, "DW_static": 9, "WC_static": 5}
LARGEST_PATCH = 8
"""Pixels along a side of the kernel that others are resized from."""
GROUND_RESOLUTION = 10.0
"""Metres; positions in an image count in this unit."""
# `config/normalization.json` of the public code: mean and standard deviation of the training data
MEAN = {
    "VV": -11.728724389184965, "VH": -18.85558188024017, "B02": 1395.3408730676722, "B03": 1338.4026921784578,
    "B04": 1343.09883810357, "B05": 1543.8607982512297, "B06": 2186.2022069512263, "B07": 2525.0932853316694,
    "B08": 2410.3377187373408, "B8A": 2750.2854646886753, "B11": 2234.911100061487, "B12": 1474.5311266077113,
    "temperature_2m": 271.5674963541667, "total_precipitation": 0.08554303677156568,
    "altitude": 673.0152819503361, "slope": 5.930092668915115,
}  # fmt: skip
STD = {
    "VV": 4.887145774840316, "VH": 5.730270320384293, "B02": 917.7041440370853, "B03": 913.2988423581528,
    "B04": 1092.678723527555, "B05": 1047.2206083460424, "B06": 1048.0101611156767, "B07": 1143.6903026819996,
    "B08": 1098.979177731649, "B8A": 1204.472755085893, "B11": 1145.9774063078878, "B12": 980.2429840007796,
    "temperature_2m": 79.80828940314429, "total_precipitation": 0.11669547098151486,
    "altitude": 983.0697298296237, "slope": 8.167406789813247,
}  # fmt: skip
LONGEST_PERIOD = 10.0
"""Ratio of the longest to the shortest period of the codes of positions, in the series and in the image."""
SPREAD = 2.0
"""Numbers become 0 at this many standard deviations below the mean, and 1 at as many above it."""
STORED_REFLECTANCE = 1e-4
"""Reflectance per unit of `MEAN` and `STD` in bands of Sentinel-2."""


def _shift_and_divisor(band: str) -> tuple[float, float]:
    unit = STORED_REFLECTANCE if band[0] == "B" else 1.0
    return unit * (MEAN[band] - SPREAD * STD[band]), unit * 2 * SPREAD * STD[band]


STATISTICS = {band: _shift_and_divisor(band) for band in MEAN}
"""Shift and divisor of each band in the released training, in the units of records."""


class GalileoConfig(Frozen):
    """Everything that decides the shape of a network, and whether its encoder is trained."""

    sensors: dict[str, tuple[str, ...]] = Field(min_length=1)
    """Bands in order, by sensor; the first one's pixels are the target grid."""
    classes: int = Field(gt=0)
    """Scores per pixel."""
    months: int = Field(gt=0, le=MOST_MONTHS)
    """Calendar months, from that of the season's first day on."""
    dim: int = Field(128, gt=0, multiple_of=16)
    depth: int = Field(4, gt=0)
    heads: int = Field(8, gt=0)
    drop_path: float = Field(0.1, ge=0, lt=1)
    location: tuple[float, float] | None = None
    """Latitude and longitude of the training area, degrees, for samples whose place is unknown: a token that every
    pixel has; None = no such token."""
    terrain: bool = False
    """Whether altitude and slope are read, where a sensor has them; networks of older versions did not read them."""
    frozen: bool = False
    """Whether only the linear classifier is trained, and not the encoder."""


class FlexiblePatchEmbedding(nn.Module):
    """A patch embedding for patches of any side up to that of its kernel (FlexiViT, Beyer et al. 2023, eq. 3)."""

    of_pixels: Tensor

    def __init__(self, bands: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(bands, dim, LARGEST_PATCH)
        self.register_buffer("of_pixels", _resizing(1), persistent=False)

    def forward(self, x_BHWTG: Tensor, patch: int) -> Tensor:
        """Return tokens (B, h, w, T, C)."""
        B, T = x_BHWTG.shape[0], x_BHWTG.shape[3]
        weight = self.proj.weight
        if patch != LARGEST_PATCH:
            matrix = self.of_pixels if patch == 1 else _resizing(patch).to(weight)
            flat = weight.flatten(2) @ matrix.T
            weight = flat.reshape(*flat.shape[:2], patch, patch)
        if patch == 1:
            each: Tensor = functional.linear(x_BHWTG, weight[:, :, 0, 0], self.proj.bias)
            return each
        images = rearrange(x_BHWTG, "b h w t g -> (b t) g h w")
        tokens = functional.conv2d(images, weight, self.proj.bias, stride=patch)
        result: Tensor = rearrange(tokens, "(b t) c h w -> b h w t c", b=B, t=T)
        return result


def _resizing(patch: int) -> Tensor:
    """The matrix (patch², 8²) that resizes a kernel: the pseudoinverse of the transposed bicubic resizing of images."""
    with torch.device("cpu"):
        pixels = torch.eye(LARGEST_PATCH**2).reshape(-1, 1, LARGEST_PATCH, LARGEST_PATCH)
        # rows: what each pixel of a large patch becomes in a small one
        smaller = functional.interpolate(pixels, (patch, patch), mode="bicubic", antialias=True).flatten(1)
        inverse: Tensor = torch.linalg.pinv(smaller)
        return inverse


class GalileoEncoder(nn.Module):
    """From patches by group of bands, months, weather and place to one vector per token."""

    pos_embed: Tensor

    def __init__(self, dim: int, depth: int, heads: int, drop_path: float = 0.1) -> None:
        super().__init__()
        code = dim // 4
        self.space_time_embed = nn.ModuleDict({name: FlexiblePatchEmbedding(BANDS[name], dim) for name in SPACE_TIME})
        self.space_embed = nn.ModuleDict({name: FlexiblePatchEmbedding(bands, dim) for name, bands in SPACE.items()})
        self.time_embed = nn.ModuleDict({name: nn.Linear(bands, dim) for name, bands in TIME.items()})
        self.static_embed = nn.ModuleDict({name: nn.Linear(bands, dim) for name, bands in STATIC.items()})
        self.s_t_channel_embed = nn.Parameter(torch.zeros(len(SPACE_TIME), code))
        self.sp_channel_embed = nn.Parameter(torch.zeros(len(SPACE), code))
        self.t_channel_embed = nn.Parameter(torch.zeros(len(TIME), code))
        self.st_channel_embed = nn.Parameter(torch.zeros(len(STATIC), code))
        self.month_embed = fixed_embedding(month_codes(code))
        self.register_buffer("pos_embed", sinusoids(torch.arange(MOST_MONTHS), code, longest=LONGEST_PERIOD))
        rates = [drop_path * block / max(1, depth - 1) for block in range(depth)]
        self.blocks = nn.ModuleList(EncoderBlock(dim, heads, joint=False, drop_path=rate) for rate in rates)
        self.norm = nn.LayerNorm(dim)

    def forward(
        self,
        groups: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
        month_BT: Tensor,
        patch: int = 1,
        resolution: float = GROUND_RESOLUTION,
        location_B3: Tensor | None = None,
        ordered: bool = True,
    ) -> tuple[Tensor, Tensor]:
        """Return the tokens (B, N, C), and which of them exist (B, N).

        Tokens of space and time come first, flattened from (h, w, T, group); then terrain (h, w), weather (T), place.
        If not `ordered`, tokens that exist come first, and there may be fewer (`present_first`).

        Args:
            groups: by name, normalised; (B, H, W, T, G) for groups of space and time, (B, H, W, 1, G) for terrain,
                (B, T, G) for "ERA5".
            present: (B, h, w, T) bool, (B, h, w, 1) for terrain, or (B, T) for "ERA5".
            month_BT: 0 = January.
            patch: side of patches, pixels.
            resolution: side of pixels, metres.
            location_B3: unit vectors (`agrifm.models.monthly.unit_vectors`); None = no such token.
        """
        B, T = month_BT.shape
        in_time = torch.cat([self.pos_embed[:T].expand(B, T, -1), self.month_embed(month_BT)], dim=-1)
        zeros = torch.zeros_like(in_time[..., : in_time.shape[-1] // 2])
        tokens, exists = [], []
        names = [name for name in SPACE_TIME if name in groups]
        if names:
            embedded = torch.stack([self.space_time_embed[name](groups[name], patch) for name in names], dim=4)
            h, w = embedded.shape[1:3]
            channel = torch.stack([self.s_t_channel_embed[SPACE_TIME.index(name)] for name in names])
            place = image_positions(h, w, channel.shape[-1], patch * resolution / GROUND_RESOLUTION).to(channel)
            codes = [
                repeat(channel, "g c -> b h w t g c", b=B, h=h, w=w, t=T),
                repeat(in_time, "b t c -> b h w t g c", h=h, w=w, g=len(names)),
                repeat(place, "h w c -> b h w t g c", b=B, t=T, g=len(names)),
            ]
            tokens.append((embedded + torch.cat(codes, dim=-1)).flatten(1, 4))
            exists.append(torch.stack([present[name] for name in names], dim=4).flatten(1))
        if TERRAIN in groups:
            tokens.append(self._terrain(groups[TERRAIN], patch, patch * resolution / GROUND_RESOLUTION))
            exists.append(present[TERRAIN].flatten(1))
        if "ERA5" in groups:
            channel = self.t_channel_embed[0].expand(B, T, -1)
            tokens.append(self.time_embed["ERA5"](groups["ERA5"]) + torch.cat([channel, in_time, zeros], dim=-1))
            exists.append(present["ERA5"])
        if location_B3 is not None:
            channel = self.st_channel_embed[list(STATIC).index("location")].expand(B, 1, -1)
            code = torch.cat([channel, torch.zeros_like(channel).repeat(1, 1, 3)], dim=-1)
            tokens.append(self.static_embed["location"](location_B3)[:, None] + code)
            exists.append(torch.ones_like(month_BT[:, :1], dtype=torch.bool))
        x_BNC, exists_BN = torch.cat(tokens, dim=1), torch.cat(exists, dim=1)
        if not ordered:
            x_BNC, exists_BN = present_first(x_BNC, exists_BN)
        mask = usable_keys(exists_BN)
        for block in self.blocks:
            x_BNC = block(x_BNC, mask)
        return self.norm(x_BNC), exists_BN

    def _terrain(self, x_BHW1G: Tensor, patch: int, step: float) -> Tensor:
        """Tokens of terrain (B, h w, C), with the codes of their group and position; `step` as in `image_positions`."""
        embedded = self.space_embed[TERRAIN](x_BHW1G, patch)[:, :, :, 0]
        B, h, w, _ = embedded.shape
        channel = self.sp_channel_embed[list(SPACE).index(TERRAIN)].expand(B, h, w, -1)
        place = image_positions(h, w, channel.shape[-1], step).to(channel).expand(B, -1, -1, -1)
        code = torch.cat([channel, torch.zeros_like(channel).repeat(1, 1, 1, 2), place], dim=-1)
        tokens: Tensor = (embedded + code).flatten(1, 2)
        return tokens


class Galileo(nn.Module):
    """Galileo's encoder on every pixel, and a linear classifier."""

    def __init__(self, config: GalileoConfig) -> None:
        super().__init__()
        self.config = config
        self.places = read_places(config.sensors, config.terrain)
        self.encoder = GalileoEncoder(config.dim, config.depth, config.heads, config.drop_path)
        self.encoder.requires_grad_(not config.frozen)
        self.encoder.month_embed.requires_grad_(False)
        self.classify = nn.Linear(config.dim, config.classes)

    def forward(self, images: Images) -> Tensor:
        """Return logits (B, K, H, W) on the first sensor's pixels.

        Args:
            images: observed series or composites by sensor, normalised with `galileo_statistics`; None where a sensor
                is absent.
        """
        target = next(iter(self.config.sensors))
        location = self.config.location
        groups, (B, H, W) = monthly_groups(images, self.places, self.config.months, target, _reflectance, location)
        logits = torch.cat([self.classify(self._described(part)) for part in groups.parts()])
        logits_BKHW: Tensor = rearrange(logits, "(b h w) k -> b k h w", b=B, h=H, w=W)
        return logits_BKHW

    def _described(self, groups: MonthlyGroups) -> Tensor:
        """One vector per pixel (B, C), each pixel an image of its own."""
        value = {name: x if name == "ERA5" else x[:, None, None] for name, x in groups.value.items()}
        present = {name: x if name == "ERA5" else x[:, None, None] for name, x in groups.present.items()}
        return mean_of_present(*self.encoder(value, present, groups.month, location_B3=groups.place, ordered=False))


def _reflectance(bands: Tensor) -> Tensor:
    """Reflectance of the normalised bands B08 and B04 (..., 2), for NDVI."""
    both = (STATISTICS["B08"], STATISTICS["B04"])
    return torch.stack([bands[..., i] * divisor + shift for i, (shift, divisor) in enumerate(both)], dim=-1)


def image_positions(h: int, w: int, dim: int, step: float) -> Tensor:
    """Return the codes of positions in an image (h, w, dim): half of the numbers of the column, half of the row.

    Args:
        step: side of a patch in units of `GROUND_RESOLUTION`.
    """
    rows, columns = (sinusoids(step * torch.arange(length), dim // 2, LONGEST_PERIOD) for length in (h, w))
    return torch.cat([repeat(columns, "w c -> h w c", h=h), repeat(rows, "h c -> h w c", w=w)], dim=-1)


PRESETS = {
    "base": {"dim": 128, "depth": 4, "heads": 8},  # the released nano
    # a quarter and a sixteenth of the work, without released weights
    "small": {"dim": 64, "depth": 4, "heads": 4},
    "tiny": {"dim": 32, "depth": 2, "heads": 2},
}


def galileo_preset(
    name: str, sensors: Sequence[SensorRecord], classes: int, frames: int, series: SeriesKind, season_days: int
) -> GalileoConfig:
    """Return the configuration of a network of a usual size: `base` (the released nano), `small` or `tiny`.

    Raises:
        ModelError: the preset is unknown, or the sensors or series are not those that Galileo reads
            (`agrifm.models.monthly.require_groups`).
    """
    chosen = chosen_preset("Galileo", PRESETS, name)
    months = require_groups("Galileo", sensors, series, season_days)
    bands = {sensor.sensor: sensor.bands for sensor in sensors}
    terrain = TERRAIN in group_places(bands)
    return GalileoConfig(sensors=bands, classes=classes, months=months, terrain=terrain, **chosen)


def galileo_statistics(sensors: Sequence[SensorRecord]) -> tuple[SensorRecord, ...]:
    """Return the sensors with the statistics of the released training in the bands that Galileo reads."""
    return with_statistics(sensors, STATISTICS)


def galileo_activations(
    config: GalileoConfig, inputs: Mapping[str, SeriesShape], training: bool, recomputed: bool
) -> float:
    """Estimate the numbers at the peak of one pass, without the weights.

    Args:
        inputs: (B, T, H, W) of the images of each sensor that is present.
    """
    return token_activations(config, config.sensors, inputs, token_count(config), training and not config.frozen)
