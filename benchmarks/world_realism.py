"""Can a classifier tell the pretraining world from real series, and by what?

Crops of each real set are compared with annual crops of the world's places nearest to it, in the same months: a
LightGBM sees the median of each month, or one band or index alone, and is tested on other blocks and places. An area
under the curve of 0.5 means that it cannot tell them apart, 1 that it always can. Months without a value are
interpolated. The mix of crops differs too, so 0.5 is not to be expected. Medians of four months show in which direction
the world errs.

    python benchmarks/world_realism.py --out benchmarks/results
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from compare_real_sets import DATA, SETS
from lightgbm import LGBMClassifier
from measure import Command, table
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict

from agrifm.samples.table import SeriesTable
from agrifm.sensors import SENSORS
from agrifm.simulator.world.covers import read_covers
from agrifm.simulator.world.places import draw_place
from agrifm.simulator.world.series import simulate_world

Values = NDArray[np.float64]


@dataclass(frozen=True)
class RealSet:
    """How a set is compared."""

    sensor: str
    """Of the world."""
    bands: Mapping[str, str]
    """Band of the world's sensor -> the set's band."""
    place: tuple[float, float]
    """Longitude and latitude, degrees."""
    other: tuple[str, ...]
    """Classes that are no annual crop."""


SENTINEL_2 = {name: name for name in ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B11", "B12")}
REAL = {
    "France": RealSet("sentinel-2", SENTINEL_2, (0.0, 46.9), ("grassland", "permanent_crops")),
    "Flanders": RealSet("sentinel-2", SENTINEL_2, (4.0, 51.0), ("grassland", "no_crop")),
    "Africa": RealSet("sentinel-2", SENTINEL_2, (33.9, 3.4), ("trees_mixed",)),
    "Bahia": RealSet("landsat", {"B04": "BAND15", "B05": "BAND16"}, (-45.3, -13.2), ("Cerradao", "Cerrado", "Pasture")),
    "Mato Grosso": RealSet("modis", {}, (-55.9, -12.0), ("Forest",)),
}
"""MODIS has indices alone, which are computed of the world's bands."""
MONTHS = {0: "Jan", 3: "Apr", 6: "Jul", 9: "Oct"}
INDICES = {
    "sentinel-2": {"NDVI": ("B08", "B04"), "NDMI": ("B08", "B11"), "NDTI": ("B11", "B12"), "NDRE": ("B07", "B05")},
    "landsat": {"NDVI": ("B05", "B04")},
    "modis": {"NDVI": ("B02", "B01")},
}
"""Index -> bands of the normalised difference."""


def monthly(values: Values, day: NDArray[np.int64], valid: NDArray[np.bool_]) -> Values:
    """Medians (P, 12, C) of the calendar months of series (P, T, C), NaN where nothing was seen."""
    month = day.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12
    result = np.full((len(values), 12, values.shape[2]), np.nan)
    for number in range(12):
        seen = np.where((valid & (month == number))[..., None], values, np.nan)
        known = np.isfinite(seen).any(axis=1)
        with np.errstate(all="ignore"):
            result[:, number][known] = np.nanmedian(np.where(known[:, None], seen, 0), axis=1)[known]
    return result


def filled(medians: Values, months: NDArray[np.bool_]) -> Values:
    """Medians (P, 12) in some months, missing ones interpolated around the year: gaps shall not tell them apart."""
    number = np.arange(12)
    rows = [
        np.interp(number, number[known], row[known], period=12)
        for row, known in zip(medians, np.isfinite(medians) & months, strict=True)
        if known.any()
    ]
    return np.array(rows)[:, months]


def of_real(places: SeriesTable, how: RealSet) -> tuple[dict[str, Values], NDArray[np.int64]]:
    """Monthly medians (P, 12) of each band and index, and the block of each place."""
    wanted = [number for number, entry in enumerate(places.legend.classes) if entry.code not in how.other]
    chosen = places.of(np.flatnonzero(np.isin(places.label, wanted)))
    series = next(iter(chosen.series.values()))
    medians = monthly(series.values.astype(np.float64), series.date.astype(np.int64), series.valid)
    names = list(series.input.bands)
    bands = {band: medians[..., names.index(theirs)] for band, theirs in how.bands.items()}
    if not bands:
        return {"NDVI": medians[..., names.index("NDVI")]}, chosen.block.astype(np.int64)
    return bands | _indices(bands, how.sensor), chosen.block.astype(np.int64)


def of_world(how: RealSet, count: int, numbers: int) -> tuple[dict[str, Values], NDArray[np.int64]]:
    """The same of the nearest places of the world."""
    where = world_places(numbers)
    east = (where[:, 0] - how.place[0]) * np.cos(np.radians(how.place[1]))
    nearest = np.argsort(np.hypot(east, where[:, 1] - how.place[1]))[:count]
    world = simulate_world(0, nearest.tolist())
    series = world.series[how.sensor]
    annual = [number for number, cover in enumerate(read_covers().values()) if cover.plant is not None]
    crops = np.isin(series.cover, annual)
    valid = np.arange(series.day.shape[1]) < series.length[:, None]
    medians = monthly(series.values[crops].astype(np.float64), series.day[crops].astype(np.int64), valid[crops])
    names = list(SENSORS[how.sensor].band_names)
    needed = how.bands or {band: band for bands in INDICES[how.sensor].values() for band in bands}
    bands = {band: medians[..., names.index(band)] for band in needed}
    indices = _indices(bands, how.sensor)
    return (bands | indices if how.bands else indices), world.place[crops].astype(np.int64)


def _indices(bands: Mapping[str, Values], sensor: str) -> dict[str, Values]:
    return {
        name: (bands[one] - bands[other]) / (bands[one] + bands[other])
        for name, (one, other) in INDICES[sensor].items()
    }


@cache
def world_places(numbers: int) -> Values:
    """Longitude and latitude (places, 2) of the first places of the world."""
    places = [draw_place(0, number, 2) for number in range(numbers)]
    return np.array([(place.lon, place.lat) for place in places])


def told_apart(real: Values, world: Values, groups: NDArray[np.int64]) -> float:
    """Area under the curve of real against world, of columns (P, ...)."""
    rows = np.concatenate([part.reshape(len(part), -1) for part in (real, world)])
    is_real = np.repeat([1, 0], [len(real), len(world)])
    model = LGBMClassifier(n_estimators=60, num_leaves=15, verbose=-1, n_jobs=1, class_weight="balanced")
    folds = GroupKFold(5, shuffle=True, random_state=0)
    answer = cross_val_predict(model, rows, is_real, groups=groups, cv=folds, method="predict_proba")
    return float(roc_auc_score(is_real, answer[:, 1]))


def report(options: argparse.Namespace) -> Iterator[str]:
    """Compare every set."""
    if not DATA.exists():
        raise SystemExit(f"the data are expected at {DATA}; set AGRIFM_DATA to the folder that holds them")
    for name in options.sets:
        how = REAL[name]
        real, blocks = of_real(SETS[name](), how)
        world, places = of_world(how, options.places, options.numbers)
        features = list(real)
        seen = [np.isfinite(part[features[0]]) for part in (real, world)]
        months = seen[0].any(axis=0)
        groups = np.concatenate(
            [blocks[seen[0].any(axis=1)], places[(seen[1] & months).any(axis=1)] + blocks.max() + 1]
        )
        values = [{feature: filled(part[feature], months) for feature in features} for part in (real, world)]
        yield f"{name}: {len(blocks)} crops, {len(places)} of {options.places} places of the world ({how.sensor})"
        everything = [np.stack(list(part.values()), axis=2) for part in values]
        shown = [month for month in (0, 3, 6, 9) if months[month]]
        names = [f"{which} {MONTHS[month]}" for which in ("real", "world") for month in shown]
        rows = [("everything", f"{told_apart(*everything, groups):.3f}", *("" for _ in names))]
        for feature in features:
            area = told_apart(*(part[feature] for part in values), groups)
            medians = [np.nanmedian(part[feature][:, shown], axis=0) for part in (real, world)]
            rows.append((feature, f"{area:.3f}", *(f"{value:.3f}" for part in medians for value in part)))
        yield from table(("what is seen", "area", *names), rows)
        yield ""


main = Command(
    __doc__,
    report,
    {
        "--sets": {"nargs": "+", "choices": [*REAL], "default": [*REAL]},
        "--places": {"type": int, "default": 40, "help": "of the world, nearest to each set"},
        "--numbers": {"type": int, "default": 4000, "help": "places of the world among which these are"},
    },
    ("scikit-learn", "lightgbm"),
    quick={"sets": ["Bahia"], "places": 4, "numbers": 60},
)

if __name__ == "__main__":
    main()
