"""`agrifm samples parcels`: the labelled parcels of a cube as a series table, a row for each parcel and date."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from agrifm.config import Project
from agrifm.cube.store import SCALES, Cube, open_cube
from agrifm.errors import ConfigError, LabelError, OutputError
from agrifm.files import AnyPath, as_path
from agrifm.grid import LONLAT, NEST
from agrifm.outputs import replace_file
from agrifm.record import SensorInput
from agrifm.samples.labels import Labels
from agrifm.samples.parcel_series import (
    STATISTIC_NAMES,
    ParcelSeries,
    nearby_parcels,
    parcel_pixels,
    read_parcel_series,
)
from agrifm.samples.series_values import LEAST_UNSCALED
from agrifm.samples.split import FOLDS, Split, split_blocks
from agrifm.scene.product_checks import QUANTITY_RANGES
from agrifm.season import day_date
from agrifm.sensors import SENSORS
from agrifm.train.data import project_labels
from agrifm.work import progress

if TYPE_CHECKING:
    import pandas
    import pyarrow

KIND = b"agrifm parcels"
"""Key of the metadata of a file that this module wrote."""
LARGEST_SPREAD = 3.2766
"""Largest spread that is read, in units of 10,000 stored numbers: that of any pixels is smaller."""


def write_parcels(project: Project, out: AnyPath, inner: float = 0.0, divide: bool = True) -> list[str]:
    """Write mean, median, standard deviation and interquartile range of the valid pixels of each labelled parcel.

    Blocks and folds are those of training on the cube. Parcels are read tile by tile and frame by frame, so the cube
    may be larger than memory.

    Args:
        out: a .parquet file, replaced only if it is one of this command.
        inner: metres by which parcels are made smaller on all sides, against mixed pixels; points stay as they are.
        divide: whether the table has blocks and folds; without them a few parcels are enough.

    Returns:
        Notes, and lines of the project file with which models are trained on the table.

    Raises:
        ConfigError: `inner` is below 0.
        LabelError: the labels are a raster or a table, or no parcel has a pixel centre inside.
        CubeError: there is no cube, or a chunk of it is damaged.
        OutputError: `out` has another ending, or is another file.
    """
    out = as_path(out)
    require_parcel_file(out, inner)
    cube = open_cube(project.source)
    labels = project_labels(project, cube)
    if not labels.has_parcels:
        raise LabelError(
            f"making series of parcels: {project.labels.file} is a raster, whose regions are not parcels; give "
            "polygons as `file` under [labels]",
            path=project.labels.file,
        )
    split = split_blocks(labels, project.labels.block, project.model.seed) if divide else None
    shapes = _shrunk(labels, inner)
    with replace_file(out, f"writing parcels to {out}", is_parcel_file) as place:
        written, rows = _write_rows(place, cube, labels, split, shapes)
        if not written:
            raise LabelError(
                f"making series of parcels: none of the {len(labels.places)} parcels has a pixel centre inside that is "
                f"{inner:g} m from its edge; give a smaller inner buffer",
                parcels=len(labels.places),
                inner=inner,
            )
    notes = [*labels.notes, f"{written} parcels, {rows} rows of a parcel and a date"]
    if written < len(labels.places):
        notes.append(
            f"{len(labels.places) - written} parcels have no pixel centre inside that is {inner:g} m from their edge, "
            "and are left out"
        )
    return [*notes, "", *project_lines(project, cube, out)]


def require_parcel_file(out: Path, inner: float) -> None:
    """Refuse another ending than .parquet, and an inner buffer below 0, as `write_parcels` does."""
    if not inner >= 0:
        raise ConfigError(f"making series of parcels: the inner buffer is {inner:g} m; give 0 or more", inner=inner)
    if out.suffix != ".parquet":
        raise OutputError(f"writing parcels to {out}: choose a name that ends in .parquet", path=out)


def _write_rows(
    place: Path, cube: Cube, labels: Labels, split: Split | None, shapes: Sequence[BaseGeometry]
) -> tuple[int, int]:
    """Write the rows of all parcels, tile by tile; returns how many parcels and rows."""
    import pyarrow.parquet

    schema, written, rows = _schema(cube, split is not None), 0, 0
    with (
        pyarrow.parquet.ParquetWriter(place, schema, compression="zstd") as writer,
        progress("parcels", len(labels.places)) as advance,
    ):
        for group in nearby_parcels(list(labels.places.geometry), labels.grid):
            inside = parcel_pixels([shapes[index] for index in group], labels.grid).count
            chosen = group[inside > 0]
            if len(chosen):
                frame = _frame(cube, labels, split, shapes, chosen, inside[inside > 0])
                writer.write_table(pyarrow.Table.from_pandas(frame, schema, preserve_index=False))
                written, rows = written + len(chosen), rows + len(frame)
            advance(len(group))
    return written, rows


def _shrunk(labels: Labels, inner: float) -> list[BaseGeometry]:
    """The shapes of the parcels without a margin of `inner` metres."""
    shapes = list(labels.places.geometry)
    if not inner:
        return shapes
    if labels.grid.crs.geographic:
        raise LabelError(
            "making series of parcels: the cube is in degrees, and an inner buffer is in metres; leave it out, or "
            "fetch the cube without `native_grid`",
            inner=inner,
        )
    return [shape if shape.geom_type.endswith("Point") else shape.buffer(-inner) for shape in shapes]


def _frame(
    cube: Cube,
    labels: Labels,
    split: Split | None,
    shapes: Sequence[BaseGeometry],
    group: NDArray[np.intp],
    inside: NDArray[np.int64],
) -> "pandas.DataFrame":
    """The rows of some parcels, which have so many pixels `inside`: a row for each date of any sensor."""
    import pandas

    merged: pandas.DataFrame | None = None
    for source in cube.sensors.values():
        series = read_parcel_series(source, [shapes[index] for index in group])
        part = _of_sensor(source.input, series, group)
        merged = part if merged is None else merged.merge(part, "outer", ["parcel", "day"])
    assert merged is not None
    for name in cube.sensors:  # a date of one sensor may have none of another
        merged[f"{name}_pixels"] = merged[f"{name}_pixels"].fillna(0).astype(np.int32)
        merged[f"{name}_valid"] = merged[f"{name}_pixels"] > 0
    merged = merged.sort_values(["parcel", "day"], ignore_index=True)
    points = labels.places.geometry.iloc[group].representative_point().to_crs(LONLAT)
    of = np.searchsorted(group, merged["parcel"].to_numpy())
    first = pandas.DataFrame(
        {
            "sample_id": [f"parcel {index}" for index in merged["parcel"]],
            "date": [day_date(int(day)) for day in merged["day"]],
            "label": labels.places["code"].to_numpy()[group][of],
            "longitude": points.x.to_numpy()[of],
            "latitude": points.y.to_numpy()[of],
            "pixels": inside[of].astype(np.int32),
        }
    )
    if split is not None:
        first["block"] = _blocks(labels, split)[group][of]
        first["fold"] = np.array(FOLDS)[split.place_fold[group]][of]
    return first.join(merged.drop(columns=["parcel", "day"]))


def _blocks(labels: Labels, split: Split) -> NDArray[np.int32]:
    """Number of the block of each parcel (P,): all its pixels have it."""
    block = np.zeros(len(labels.places), np.int32)
    covered = labels.place >= 0
    block[labels.place[covered]] = split.block[covered]
    return block


def _of_sensor(content: SensorInput, series: ParcelSeries, group: NDArray[np.intp]) -> "pandas.DataFrame":
    import pandas

    frames = len(series.date)
    columns: dict[str, Any] = {
        "parcel": np.tile(group, frames),
        "day": series.date.reshape(-1).astype(np.int64),
        f"{content.sensor}_pixels": series.count.reshape(-1),
    }
    for number, statistic in enumerate(STATISTIC_NAMES):
        for band, name in enumerate(content.bands):
            values = series.statistics[:, number, band].reshape(-1).astype(np.float32)
            columns[column_of(content.sensor, name, statistic)] = values
    return pandas.DataFrame(columns)


def column_of(sensor: str, band: str, statistic: str) -> str:
    """Return the name of a column of the table, such as `sentinel-2_B04_median`."""
    return f"{sensor}_{band}_{statistic}"


def _schema(cube: Cube, divided: bool) -> "pyarrow.Schema":
    import pyarrow

    fields = [
        ("sample_id", pyarrow.string()), ("date", pyarrow.date32()), ("label", pyarrow.string()),
        ("longitude", pyarrow.float64()), ("latitude", pyarrow.float64()),
        *([("block", pyarrow.int32()), ("fold", pyarrow.string())] if divided else []), ("pixels", pyarrow.int32()),
    ]  # fmt: skip
    for name, content in cube.inputs.items():
        fields += [(f"{name}_pixels", pyarrow.int32()), (f"{name}_valid", pyarrow.bool_())]
        fields += [
            (column_of(name, band, statistic), pyarrow.float32())
            for statistic in STATISTIC_NAMES
            for band in content.bands
        ]
    units = {name: content.quantity for name, content in cube.inputs.items()}
    return pyarrow.schema(fields, metadata={KIND: json.dumps({"quantities": units}).encode()})


def is_parcel_file(path: Path) -> bool:
    """Whether a file is one of this module."""
    import pyarrow
    from pyarrow.parquet import read_schema

    try:
        return KIND in (read_schema(path).metadata or {})
    except (pyarrow.ArrowException, OSError):
        return False


def project_lines(project: Project, cube: Cube, out: Path, has_blocks: bool = True) -> list[str]:
    """Return the lines of a project file that say what the table contains: keys of [labels], and a product for each
    sensor and statistic. Mean and median are series of the sensor; spreads are further inputs of their own name.

    Args:
        has_blocks: whether the table has blocks and folds.
    """
    names = list(cube.inputs)
    chosen = [f"{name}-parcel-median" for name in names]
    lines = [
        "# for models of parcels, in place of the keys of the same name:",
        "[labels]",
        f"series = {json.dumps(out.name)}",
        f"products = {json.dumps(chosen)}  # or -mean; spreads as further inputs: -std, -iqr",
        *(["[labels.columns]", 'block = "block"', 'fold = "fold"'] if has_blocks else []),
    ]
    for content in cube.inputs.values():
        for statistic in STATISTIC_NAMES:
            lines += ["", *_product_lines(project, content, statistic)]
    return lines


def _product_lines(project: Project, content: SensorInput, statistic: str) -> list[str]:
    is_spread = statistic in ("std", "iqr")
    scale, low, high = 1.0, *QUANTITY_RANGES[content.quantity][::2]
    if is_spread:  # read as an index, which a cube stores from 0 to 3.2767
        scale = max(SCALES["index"] / content.scale, LEAST_UNSCALED)
        low, high = 0.0, LARGEST_SPREAD / scale
    sensor = f"{content.sensor}-{statistic}" if is_spread else content.sensor
    bands = {f"{band}_{statistic}" if is_spread else band: band for band in content.bands}
    described = {
        band.name: band.wavelength
        for product in project.imagery.product
        if (product.sensor or product.name) == content.sensor
        for band in product.bands
    }
    written = []
    for name, band in bands.items():
        wavelength = None if is_spread or sensor in SENSORS else described.get(band)
        known = "" if wavelength is None else f", wavelength = {wavelength}"
        written.append(f"{{ name = {json.dumps(name)}{known} }}")
    lines = [
        "[[imagery.product]]",
        f'name = "{content.sensor}-parcel-{statistic}"',
        f'sensor = "{sensor}"',
        f"bands = [{', '.join(written)}]",
        f'quantity = "{"index" if is_spread else content.quantity}"',
        f"scale = {scale:.6g}" if scale != 1 else "scale = 1.0",
        "offset = 0.0",
        "nodata = nan",
        f"valid_range = [{low:.6g}, {high:.6g}]",
    ]
    if content.quantity == "backscatter (dB)" and not is_spread:
        lines.append('kernel = "nearest"')
    if sensor not in SENSORS:
        lines.append(f"resolution = {_resolution(content)}")
    columns = {name: column_of(content.sensor, band, statistic) for name, band in bands.items()}
    assets = [f"{json.dumps(name)} = {json.dumps(column)}" for name, column in columns.items()]
    return [*lines, "[imagery.product.assets]", *assets]


def _resolution(content: SensorInput) -> int:
    """The side of pixels, or if it does not divide `NEST` the nearest number that does."""
    divisors = [side for side in range(1, NEST + 1) if NEST % side == 0]
    return min(divisors, key=lambda side: abs(side - content.resolution))
