"""Every model on the visible real sets and a simulated season, with all labels, and with 5 labels of each class.

Data under AGRIFM_DATA (default ../shared/data): France (LPIS parcels, Sentinel-2 and Sentinel-1), western Bahia
(CBERS-4), Mato Grosso (MODIS indices of six seasons), smallholders in Africa (monthly composites), and points in the
fields of one patch of Flanders. Folds are those that the sets state; Africa's are whole H3 cells. Classes of fewer than
9 African points are left out, because they are in one or two cells. The simulated season is that of the demo, one pixel
of each parcel; it is made and fetched below `--directory` once.

The rule was written before the first run: whatever comes out is published as it is.

    python benchmarks/compare_real_sets.py --directory comparison --out benchmarks/results
    python benchmarks/compare_real_sets.py --budgets 5 --directory comparison  5 labels of each class, 20 draws
    python benchmarks/compare_real_sets.py --models "presto (released, probe)"  released weights: AGRIFM_WEIGHTS
    python benchmarks/compare_real_sets.py --models "agrifm (pretrained)"  of agrifm pretrain: AGRIFM_PRETRAINED
    python benchmarks/compare_real_sets.py --quick
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from measure import Command, table

from agrifm.classic.singles import SINGLES
from agrifm.cluster import open_cluster
from agrifm.config import PROJECT_FILE, read_project
from agrifm.cube.fetch import fetch
from agrifm.demo import WHOLE
from agrifm.files import MARKER
from agrifm.samples.series_files import read_series_table
from agrifm.samples.table import SeriesTable
from agrifm.scene.products import Product
from agrifm.scene.table_products import TableProduct, find_table_product
from agrifm.season import Season
from agrifm.series_columns import SeriesColumns
from agrifm.simulator.catalog import simulate
from agrifm.train.combination import COMBINATIONS, Learner
from agrifm.train.compare import compare_sets, comparison_lines
from agrifm.train.comparison_config import SetConfig
from agrifm.train.learners import FRAMES, LEARNERS, learn_network
from agrifm.train.probe import learn_probe
from agrifm.train.protocol import LabelledSet, ProtocolConfig

DATA = Path(os.environ.get("AGRIFM_DATA", "../shared/data"))
SENTINEL_2, SENTINEL_1 = (
    find_table_product(name) for name in ("sentinel-2-worldcereal", "sentinel-1-worldcereal-amplitude")
)
MODELS = [*SINGLES, "tempcnn", "ltae", "transformer", "presto", "agrifm", *COMBINATIONS]
"""Without the networks of windows, which see one pixel of a table."""
WEIGHTS = Path(os.environ.get("AGRIFM_WEIGHTS", "../shared/peers/weights"))
PRETRAINED = Path(os.environ.get("AGRIFM_PRETRAINED", "pretraining/pretrained.safetensors"))
"""Of `agrifm pretrain` (docs/pretrain.md)."""
FILES = {"presto": WEIGHTS / "presto.pt", "galileo": WEIGHTS / "galileo_nano_encoder.pt"}
RELEASED: dict[str, Learner] = {
    **{f"{name} (released, tuned)": partial(learn_network, name, weights=file) for name, file in FILES.items()},
    **{f"{name} (released, probe)": partial(learn_probe, name, file, FRAMES) for name, file in FILES.items()},
    "agrifm (pretrained)": partial(learn_network, "agrifm", weights=PRETRAINED),
    "agrifm (pretrained, probe)": partial(learn_probe, "agrifm", PRETRAINED, FRAMES),
}
"""Networks from released weights, which agrifm does not distribute: trained on, or probed as they are."""
PIXELS_PER_FIELD = 12
LEAST_AFRICAN = 9
AWFI = TableProduct(
    Product(
        name="cbers-4-awfi-table",
        sensor="cbers-4-awfi",
        collection="cbers-4-awfi-table",
        assets={band: band for band in ("BAND13", "BAND14", "BAND15", "BAND16", "NDVI", "EVI")},
        scale=1.0,
        offset=0.0,
        nodata=-9999,
        valid_range=(-1, 1),
        quantity="index",
        pixel=64,
    )
)


def france() -> SeriesTable:
    """500 parcels, 10 classes, dekads."""
    folder = DATA / "france_lpis_2023_dekads"
    places = pd.read_csv(folder / "splits.csv").query("label != 'drop'")
    samples = pd.read_parquet(folder / "samples.parquet", columns=["sample_id", "lon", "lat"])
    return _read(
        pd.read_parquet(folder / "series.parquet"),
        places.merge(samples, on="sample_id"),
        [SENTINEL_2, SENTINEL_1],
        Season(date(2022, 9, 1), date(2023, 12, 31)),
        SeriesColumns(label="label", fold="fold", block="cell", period="dekad"),
    )


def bahia() -> SeriesTable:
    """922 points, 4 classes."""
    folder = DATA / "bahia_cbers4_2018"
    places = pd.read_csv(folder / "splits.csv").drop(columns=["row", "col", "in_raster"])
    samples = pd.read_parquet(folder / "samples.parquet", columns=["sample_id", "longitude", "latitude"])
    return _read(
        pd.read_parquet(folder / "series.parquet"),
        places.merge(samples, on="sample_id"),
        [AWFI],
        Season(date(2018, 8, 29), date(2019, 8, 28)),
        SeriesColumns(label="label", fold="fold", block="cell", period=16),
    )


def africa() -> SeriesTable:
    """500 points, monthly composites; the classes of at least `LEAST_AFRICAN` points."""
    file = DATA / "africa_smallholders_2017" / "extractions.parquet"
    counts = pd.read_parquet(file, columns=["sampling_label"]).sampling_label.value_counts()
    return read_series_table(
        file,
        [SENTINEL_2, SENTINEL_1],
        columns=SeriesColumns(label="sampling_label", block="h3_l3_cell", period="month"),
        unlabelled=counts.index[counts < LEAST_AFRICAN].tolist(),
    )


def mato_grosso() -> SeriesTable:
    """603 field samples of six seasons; class and season are confounded, so scores are too high."""
    folder = DATA / "mato_grosso_modis_cube"
    samples = pd.read_csv(folder / "field_samples.csv", parse_dates=["from", "to"])
    samples = samples.rename(columns={"from": "first", "to": "last"})
    samples = samples.merge(pd.read_csv(folder / "splits.csv")[["sample_id", "block", "fold"]], on="sample_id")
    with xr.open_dataset(folder / "mod13q1_cube.nc", engine="h5netcdf", mask_and_scale=False) as content:
        day = pd.to_datetime(content.time.values)
        bands = {name: content[name].values for name in ("ndvi", "evi")}
    rows = []
    for sample in samples.itertuples():
        inside = np.asarray((day >= sample.first) & (day < sample.last))
        series = {name: values[inside, sample.row, sample.col] for name, values in bands.items()}
        rows.append(pd.DataFrame({"sample_id": sample.sample_id, "date": day[inside], **series}))
    places = samples[["sample_id", "longitude", "latitude", "label", "block", "fold", "first"]]
    return _read(
        pd.concat(rows),
        places,
        [find_table_product("modis-13Q1-dtwsat")],
        Season(date(2010, 9, 1), date(2011, 9, 15)),
        SeriesColumns(label="label", fold="fold", block="block", start="first", period=16),
    )


def flanders() -> SeriesTable:
    """Points in 68 fields of one patch, a field is a block; far too few fields for a statement."""
    folder = DATA / "flanders_multisource_2018"
    patch = next(path for path in folder.iterdir() if path.is_dir())
    split = pd.read_csv(folder / "splits.csv")
    chosen = split.groupby("field").sample(frac=1, random_state=0).groupby("field").head(PIXELS_PER_FIELD)
    rows, cols = chosen.row.to_numpy(), chosen.col.to_numpy()
    with (
        xr.open_dataset(patch / "s2_l2a_10m.nc", engine="h5netcdf", mask_and_scale=False) as fine,
        xr.open_dataset(patch / "s2_l2a_20m.nc", engine="h5netcdf", mask_and_scale=False) as coarse,
    ):
        values = {name: fine[name].values[:, rows, cols] for name in ("B02", "B03", "B04", "B08")}
        more = ("B05", "B06", "B07", "B8A", "B11", "B12")
        values |= {name: coarse[name].values[:, rows // 2, cols // 2] for name in more}
        clear = np.isin(coarse["SCL"].values[:, rows // 2, cols // 2], [4, 5, 6, 7])
        day = pd.to_datetime(fine.time.values).normalize()
    names = [f"field {field}, {row}, {col}" for field, row, col in zip(chosen.field, rows, cols, strict=True)]
    parts = []
    for step in range(len(day)):
        series = {name: np.where(clear[step], numbers[step], 65535) for name, numbers in values.items()}
        parts.append(pd.DataFrame({"sample_id": names, "date": day[step], **series}))
    places = pd.DataFrame(
        {
            "sample_id": names,
            "label": chosen.label.to_numpy(),
            "block": chosen.field.to_numpy(),
            "fold": chosen.fold.to_numpy(),
        }
    )
    series = pd.concat(parts).drop_duplicates(["sample_id", "date"])
    columns = SeriesColumns(label="label", fold="fold", block="block")
    return _read(series, places, [SENTINEL_2], Season(date(2018, 3, 1), date(2018, 10, 31)), columns)


def simulated(folder: Path) -> LabelledSet:
    """One pixel of each parcel, and of each class of other land in a block, of the demo's season: three sensors."""
    season = folder / "season"
    if not (season / MARKER).exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / PROJECT_FILE).write_text(WHOLE.project)
        simulate(season, size=WHOLE.kilometres)
    fetch(read_project(folder))
    return SetConfig(name=SIMULATED, project=folder.resolve(), pixels=1).read(folder)


SIMULATED = "Simulated season"
SETS: dict[str, Callable[[], SeriesTable]] = {
    "France": france,
    "Bahia": bahia,
    "Mato Grosso": mato_grosso,
    "Africa": africa,
    "Flanders": flanders,
}


def _read(
    series: pd.DataFrame, places: pd.DataFrame, products: list[TableProduct], season: Season, columns: SeriesColumns
) -> SeriesTable:
    with TemporaryDirectory() as folder:
        files = Path(folder, "series.parquet"), Path(folder, "places.parquet")
        for file, frame in zip(files, (series, places), strict=True):
            frame.to_parquet(file)
        return read_series_table(files[0], products, season, columns, files[1])


def report(options: argparse.Namespace) -> Iterator[str]:
    """The lines of the comparison, and its seconds."""
    if not DATA.exists():
        raise SystemExit(f"the data are expected at {DATA}; set AGRIFM_DATA to the folder that holds them")
    began = time.perf_counter()
    config = ProtocolConfig(budgets=tuple(options.budgets), draws=options.draws, leaks="remove", distance=100)
    with TemporaryDirectory() as scratch, open_cluster(options.cluster, Path(scratch)) as executor:
        folder = options.directory or Path(scratch)
        sets = [
            simulated(folder / "simulated") if name == SIMULATED else LabelledSet(name, SETS[name]())
            for name in options.sets
        ]
        if options.thin > 1:
            sets = [replace(one, table=one.table.of(np.arange(0, len(one.table), options.thin))) for one in sets]
        content = compare_sets(
            sets, options.models, config, folder / "comparison", LEARNERS | RELEASED, COMBINATIONS, executor
        )
    yield from comparison_lines(content)
    yield ""
    yield from overview(content)
    yield f"{time.perf_counter() - began:.0f} s on {options.cluster or 'one process'}"


def overview(content: dict[str, Any]) -> Iterator[str]:
    """Macro F1 of each model on each set, and the mean of the real sets; a table for each budget."""
    names = list(content["sets"])
    real = [at for at, name in enumerate(names) if name != SIMULATED]
    for budget in dict.fromkeys(row["budget"] for row in content["results"]):
        found = {(row["model"], row["set"]): row for row in content["results"] if row["budget"] == budget}
        rows = []
        for model in content["models"]:
            scores = [found[model, name].get("macro_f1") for name in names]
            known = [scores[at] for at in real if scores[at] is not None]
            mean = f"{np.mean(known):.3f}" if real and len(known) == len(real) else "-"
            rows.append((model, *("-" if score is None else f"{score:.3f}" for score in scores), mean))
        yield from table((f"{budget} of labels", *names, "mean of real sets"), rows)


OPTIONS = {
    "--models": {"nargs": "+", "default": MODELS, "help": "default: classics, networks of series, combinations"},
    "--sets": {"nargs": "+", "choices": [*SETS, SIMULATED], "default": [*SETS, SIMULATED], "help": "default: all"},
    "--budgets": {"nargs": "+", "default": ["100 %"], "help": 'labels of each class, or shares; default "100 %%"'},
    "--draws": {"type": int, "default": 4, "help": "in each of five folds for budgets below 100 %%, default 4"},
    "--cluster": {"default": "local:2", "help": "where models are trained, default local:2"},
    "--thin": {"type": int, "default": 1, "help": "every n-th place only, default 1"},
    "--directory": {"type": Path, "help": "of the report and of what was trained, to continue a stopped run"},
}
main = Command(
    __doc__,
    report,
    OPTIONS,
    ("scikit-learn", "lightgbm", "torch"),
    quick={"models": ["logistic", "extra-trees"], "sets": ["Bahia", "Flanders"], "thin": 2, "cluster": None},
)

if __name__ == "__main__":
    main()
