"""Monthly means of each pixel in groups of bands: what Presto and Galileo read.

Both were trained on one value per calendar month of Sentinel-1, Sentinel-2 and weather, and on terrain. Observations go
to the calendar months of their dates, so months without an observation are masked and none is invented.

Shape letters: B samples, T frames, C bands, H W rows and columns, P pixels of all samples, M calendar months,
G bands of a group.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from agrifm.errors import ModelError
from agrifm.models.agrifm.timeseries import Images, ObservedSeries
from agrifm.models.cost import IMAGE_COPIES, SeriesShape
from agrifm.record import SensorRecord, SeriesKind

GROUPS = {
    "S1": ("VV", "VH"),
    "S2_RGB": ("B02", "B03", "B04"),
    "S2_Red_Edge": ("B05", "B06", "B07"),
    "S2_NIR_10m": ("B08",),
    "S2_NIR_20m": ("B8A",),
    "S2_SWIR": ("B11", "B12"),
    "NDVI": ("B08", "B04"),
    "ERA5": ("temperature_2m", "total_precipitation"),
    "SRTM": ("altitude", "slope"),
}
"""Bands by group: temperature at 2 m in kelvin, precipitation of a month in metres, altitude in metres above sea level
and slope in degrees."""
TERRAIN = "SRTM"
"""The group that does not change with time: it has one value, and no month."""
SENSORS_OF_BANDS = {"V": ("sentinel-1",), "B": ("sentinel-2", "hls-s30"), "t": (), "a": ()}
"""Sensors that have a group, by the first letter of its bands; without an entry, any sensor with bands so named."""
QUANTITIES = {
    "S1": "backscatter (dB)",
    "S2_RGB": "surface reflectance",
    "S2_NIR_10m": "surface reflectance",
    TERRAIN: "terrain",
}
"""Quantity in which the bands of a group must be."""
MOST_MONTHS = 24
"""Positions that the weights of both have."""
MONTH_STARTS = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)
"""Days of the year, from 0, on which months begin."""
PIXELS_AT_ONCE = 4096
"""Pixels that are computed together where no gradient is needed, which limits the memory."""

Place = tuple[str, tuple[int, ...]]
"""A sensor, and the indices of a group's bands in it."""


class MonthlyGroups(NamedTuple):
    """Monthly means of pixels by group of bands, and which of them exist."""

    value: dict[str, Tensor]
    """(P, M, G), normalised with the statistics of the record; 0 where not present. NDVI is not normalised. Terrain has
    one month: (P, 1, G)."""
    present: dict[str, Tensor]
    """(P, M) bool; (P, 1) of terrain."""
    month: Tensor
    """(P, M), calendar months, 0 = January."""
    place: Tensor | None = None
    """(P, 3), unit vectors (`unit_vectors`); None = no token of the place."""

    def part(self, pixels: slice) -> "MonthlyGroups":
        """Return some of the pixels."""
        return MonthlyGroups(
            {name: value[pixels] for name, value in self.value.items()},
            {name: present[pixels] for name, present in self.present.items()},
            self.month[pixels],
            None if self.place is None else self.place[pixels],
        )

    def parts(self) -> Iterator["MonthlyGroups"]:
        """Yield all pixels, `PIXELS_AT_ONCE` at a time; at once in a graph, whose number of pixels is free."""
        if torch.compiler.is_compiling():
            yield self
            return
        for start in range(0, len(self.month), PIXELS_AT_ONCE):
            yield self.part(slice(start, start + PIXELS_AT_ONCE))


def group_places(sensors: Mapping[str, Sequence[str]]) -> dict[str, Place]:
    """Return where the bands of each group are; a group of which a band is missing is left out.

    Args:
        sensors: names of bands in order, by sensor.
    """
    places: dict[str, Place] = {}
    for group, wanted in GROUPS.items():
        names = SENSORS_OF_BANDS[wanted[0][0]] or tuple(sensors)
        for name in names:
            bands = list(sensors.get(name, ()))
            if set(wanted) <= set(bands):
                places[group] = (name, tuple(bands.index(band) for band in wanted))
                break
    return places


def read_places(sensors: Mapping[str, Sequence[str]], terrain: bool) -> dict[str, Place]:
    """Return `group_places` of a network, which may read terrain or not."""
    return {name: place for name, place in group_places(sensors).items() if terrain or name != TERRAIN}


def token_count(config: Any) -> int:
    """Return the tokens of a pixel: one for each month and group, and one of terrain."""
    places = read_places(config.sensors, config.terrain)
    return int(config.months * len(set(places) - {TERRAIN}) + (TERRAIN in places))


def require_groups(title: str, sensors: Sequence[SensorRecord], series: SeriesKind, season_days: int) -> int:
    """Return the number of calendar months that a season of this length touches at most.

    Raises:
        ModelError: no group of bands is there, a band is another quantity than the weights were trained on, the series
            have no dates, or the season is too long.
    """
    about = f"building a {title}"
    places = group_places({sensor.sensor: sensor.bands for sensor in sensors})
    names = [sensor.sensor for sensor in sensors]
    if not set(places) - {TERRAIN}:
        raise ModelError(
            f"{about}: it reads Sentinel-2 in whole groups of bands (B02 B03 B04, or B08 …), Sentinel-1 and weather, "
            f"and found {', '.join(names)} without any of them; fetch one of these, or choose another model",
            sensors=tuple(names),
        )
    for group, quantity in QUANTITIES.items():
        if group in places:
            found = next(sensor.quantity for sensor in sensors if sensor.sensor == places[group][0])
            if found != quantity:
                raise ModelError(
                    f"{about}: it reads '{places[group][0]}' as {quantity}, found {found}; fetch a product in that "
                    "quantity",
                    sensor=places[group][0],
                    quantity=found,
                )
    if series == "interpolated":
        raise ModelError(
            f"{about}: it needs the months of the dates, which interpolated series do not keep; set `series` to "
            '"composites" or "observed"',
            series=series,
        )
    # a season of 28 days may touch two months, one of 29 three
    months = (season_days + 26) // 28 + 1
    if season_days > 30 * MOST_MONTHS:
        raise ModelError(
            f"{about}: it has {MOST_MONTHS} months at most, and the season has {season_days} days; choose a shorter "
            "season",
            days=season_days,
        )
    return min(months, MOST_MONTHS)


def with_statistics(
    sensors: Sequence[SensorRecord], statistics: Mapping[str, tuple[float, float]]
) -> tuple[SensorRecord, ...]:
    """Replace mean and standard deviation of the bands that a released network reads by those of its training.

    Args:
        statistics: shift and divisor by name of a band, in the unit of the record.
    """
    used = {name for name, _ in group_places({sensor.sensor: sensor.bands for sensor in sensors}).values()}
    replaced = []
    for sensor in sensors:
        if sensor.sensor in used:
            measured = zip(sensor.bands, sensor.mean, sensor.std, strict=True)
            pairs = [statistics.get(band, (mean, std)) for band, mean, std in measured]
            sensor = sensor.model_copy(
                update={"mean": tuple(mean for mean, _ in pairs), "std": tuple(std for _, std in pairs)}
            )
        replaced.append(sensor)
    return tuple(replaced)


def month_number(day: Tensor, first_day: Tensor) -> Tensor:
    """Return the months of dates (B, ...), counted from January of the year in which the season begins.

    The year is not known; years count 365 days, so that in a leap year the last day of each month from February on
    counts in the next month.

    Args:
        day: (B, ...), days since the season's first day.
        first_day: (B,), day of the year of that day, from 1.
    """
    date = (day + first_day.reshape(-1, *(1,) * (day.ndim - 1)) - 1).round().long()
    starts = torch.tensor(MONTH_STARTS, device=day.device)
    year = torch.div(date, 365, rounding_mode="floor")
    return 12 * year + (date[..., None] - 365 * year[..., None] >= starts).sum(dim=-1) - 1


def monthly_groups(
    images: Images,
    places: Mapping[str, Place],
    months: int,
    target: str,
    ndvi: Callable[[Tensor], Tensor],
    location: tuple[float, float] | None = None,
) -> tuple[MonthlyGroups, tuple[int, int, int]]:
    """Average the observations of each calendar month, from that of the season's first day on.

    Args:
        images: observed series or composites by sensor; None where a sensor is absent.
        places: as `group_places` returns.
        months: number of months.
        target: the sensor whose pixels are the target grid; coarser pixels are repeated.
        ndvi: makes reflectance (..., 2) of the normalised bands B08 and B04.
        location: latitude and longitude of the training area, degrees, for samples whose place is unknown; None = the
            network was trained without places, and none is given.

    Returns:
        The means, and B, H, W of the target grid.
    """
    first = images[target]
    assert isinstance(first, ObservedSeries), "the first sensor is present, and its series has dates"
    B, _, _, H, W = first.image.shape
    value, present = {}, {}
    made: dict[tuple[str, bool], tuple[Tensor, Tensor]] = {}
    for group, (sensor, bands) in places.items():
        series, constant = images[sensor], group == TERRAIN
        if series is None:
            steps = 1 if constant else months
            value[group] = first.image.new_zeros(B * H * W, steps, len(bands) if group != "NDVI" else 1)
            present[group] = torch.zeros(B * H * W, steps, dtype=torch.bool, device=first.image.device)
            continue
        assert isinstance(series, ObservedSeries), "series have dates"
        if (sensor, constant) not in made:
            inside = [series.valid] if constant else _of_months(series, months)
            made[sensor, constant] = _means(series, inside, H, W)
        mean, known = made[sensor, constant]
        if series.absent is not None:
            lacks = repeat(series.absent[:, list(bands)].any(dim=1), "b -> (b h w) 1", h=H, w=W)
            known = known & ~lacks
        chosen = mean[..., list(bands)]
        if group == "NDVI":
            nir, red = ndvi(chosen).unbind(dim=-1)
            chosen = ((nir - red) / (nir + red).clamp(min=1e-3)).clamp(-1, 1)[..., None]
        value[group], present[group] = chosen * known[..., None], known
    start = month_number(torch.zeros_like(first.first_day), first.first_day)
    month_BM = (start[:, None] + torch.arange(months, device=start.device)) % 12
    month = repeat(month_BM, "b m -> (b h w) m", h=H, w=W)
    place = None
    if location is not None:
        degrees = torch.tensor(location, device=month.device).expand(B, 2)
        if first.place is not None:
            degrees = torch.where(first.place.isfinite().all(dim=1, keepdim=True), first.place, degrees)
        place = repeat(unit_vectors(degrees), "b c -> (b h w) c", h=H, w=W)
    return MonthlyGroups(value, present, month, place), (B, H, W)


def _of_months(series: ObservedSeries, months: int) -> list[Tensor]:
    """The valid observations (B, T, H, W) of each month."""
    number = month_number(series.day, series.first_day)
    number = number - month_number(torch.zeros_like(series.first_day), series.first_day).reshape(
        -1, *(1,) * (number.ndim - 1)
    )
    if number.ndim == 2:
        number = number[:, :, None, None]
    return [series.valid & (number == month) for month in range(months)]


def _means(series: ObservedSeries, chosen: Sequence[Tensor], H: int, W: int) -> tuple[Tensor, Tensor]:
    """Means (P, M, C) of the observations chosen for each month (B, T, H, W), and whether there are any (P, M)."""
    image = series.filled
    means, known = [], []
    for inside_BTHW in chosen:
        count = inside_BTHW.sum(dim=1)
        total = (image * inside_BTHW[:, :, None]).sum(dim=1)
        means.append(total / count.clamp(min=1)[:, None])
        known.append(count > 0)
    mean_BMCHW, known_BMHW = torch.stack(means, dim=1), torch.stack(known, dim=1)
    ratio = -(-H // mean_BMCHW.shape[-2])
    if ratio > 1:
        mean_BMCHW, known_BMHW = (
            repeat(part, "... h w -> ... (h r) (w s)", r=ratio, s=ratio)[..., :H, :W]
            for part in (mean_BMCHW, known_BMHW)
        )
    return rearrange(mean_BMCHW, "b m c h w -> (b h w) m c"), rearrange(known_BMHW, "b m h w -> (b h w) m")


def fixed_embedding(codes: Tensor) -> nn.Embedding:
    """Return an embedding (N, C) that is not trained."""
    embedding = nn.Embedding(*codes.shape)
    embedding.weight = nn.Parameter(codes, requires_grad=False)
    return embedding


def month_codes(dim: int) -> Tensor:
    """Return the code of each month (12, dim) of the released networks: its sine, and then its cosine, repeated."""
    angle = torch.arange(12, dtype=torch.float64) * (2 * math.pi / 12)
    return torch.stack([angle.sin(), angle.cos()], dim=1).repeat_interleave(dim // 2, dim=1).float()


def unit_vectors(degrees: Tensor) -> Tensor:
    """Return latitudes and longitudes in degrees (..., 2) as x, y, z on the unit sphere (..., 3), float32."""
    north, east = torch.deg2rad(degrees.double()).unbind(dim=-1)
    return torch.stack([north.cos() * east.cos(), north.cos() * east.sin(), north.sin()], dim=-1).float()


def token_activations(
    config: Any,
    sensors: Mapping[str, Sequence[str]],
    inputs: Mapping[str, SeriesShape],
    tokens: int,
    kept: bool,
) -> float:
    """Estimate the numbers at the peak of one pass of an encoder with `tokens` tokens per pixel.

    Args:
        config: of the network, with `dim`, `depth`, `heads` and `months`.
        sensors: bands by sensor.
        inputs: (B, T, H, W) of the images of each sensor that is present.
        kept: whether every layer keeps its numbers for a backward pass; otherwise pixels are computed in parts.
    """
    series = sum(
        samples * height * width * frames * len(sensors[name]) * IMAGE_COPIES
        for name, (samples, frames, height, width) in inputs.items()
    )
    samples, _, height, width = max(inputs.values(), key=lambda shape: shape[2] * shape[3])
    pixels = samples * height * width
    means = 3 * pixels * config.months * sum(len(bands) for bands in sensors.values())
    layer = tokens * 16 * config.dim + config.heads * tokens**2
    computed = pixels if kept else min(pixels, PIXELS_AT_ONCE)
    return float(series + means + computed * layer * (config.depth if kept else 1))
