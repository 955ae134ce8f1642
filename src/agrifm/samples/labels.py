"""Labels on the target grid, from polygons, points or a raster; other land is a class too."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import geopandas
import numpy as np
import pandas
from numpy.typing import NDArray
from rasterio.features import rasterize, shapes
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from agrifm.class_raster import ClassRaster
from agrifm.codes import code_of, listed, read_codes, why_not_classes, year_notes
from agrifm.errors import LabelError, did_you_mean
from agrifm.files import AnyPath, as_path
from agrifm.grid import LONLAT, Grid, reproject
from agrifm.legend import OTHER, UNLABELLED, Legend
from agrifm.record import METRES_PER_DEGREE
from agrifm.samples.label_rasters import RASTERS, raster_codes_on
from agrifm.vectors import EXCHANGED, NOTHING_STATED, VectorKeys, count_if_exchanged, read_vector

TILE = 480.0
"""Side in metres of the squares by which large regions of a raster are cut; blocks are multiples of it."""


@dataclass(frozen=True)
class Labels:
    """Class numbers on the target grid, and the places (parcels or points) they come from."""

    legend: Legend
    grid: Grid
    label: NDArray[np.uint8]
    """(H, W), class numbers, 255 = unlabelled."""
    place: NDArray[np.int32]
    """(H, W), row number in `places`; -1 where the label does not come from a place (land of the class `other`)."""
    places: geopandas.GeoDataFrame
    """One row per parcel or point that covers a pixel, in the grid's CRS: geometry, number (class),
    and of vector files row (in the file, from 0) and fold."""
    notes: tuple[str, ...]
    """What was not used, in sentences."""
    has_parcels: bool = True
    """Whether places are parcels or points; the connected regions of a raster are neither."""


def read_labels(
    file: AnyPath,
    column: str,
    grid: Grid,
    area: BaseGeometry,
    legend: Legend | None = None,
    other: AnyPath | None = None,
    other_values: Sequence[int] = (),
    fold_column: str | None = None,
    keys: VectorKeys = NOTHING_STATED,
    unlabelled: Sequence[int | str] = (),
    other_keys: VectorKeys = NOTHING_STATED,
) -> Labels:
    """Read the labels of an area on its target grid.

    Args:
        file: polygons or points with a class code in `column`, or a raster of codes.
        area: in longitude and latitude.
        legend: the classes; None takes the codes of the file, and `other` if `other` is given.
        other: polygons, or a raster whose `other_values` mean `other`; labelled shapes have priority over it.
        fold_column: column that contains train, validation or test.
        keys: what the user states of the file.
        unlabelled: codes that mean that there is no label.
        other_keys: what the user states of `other`.

    Raises:
        LabelError: the file cannot be read, is outside the area, has an unknown code or a single class.
    """
    file = as_path(file)
    other = None if other is None else as_path(other)
    if other is None and other_keys != NOTHING_STATED:
        raise LabelError(f"reading labels {file}: `other_file` is given without `other`; give both, or remove it")
    shapes_, legend, stated, notes = class_shapes(
        file, column, grid, area, legend, other is not None, fold_column, keys, unlabelled
    )
    covering, place = draw_shapes(shapes_, grid, notes)
    label = np.full(grid.shape, UNLABELLED, np.uint8)
    label[place >= 0] = covering["number"].to_numpy(np.uint8)[place[place >= 0]]
    if other is not None:
        mask = other_mask(other, other_values, other_keys, grid, notes)
        label[mask & (place < 0)] = legend.number(OTHER)
    _require_classes(label, legend, file, notes)
    return Labels(legend, grid, label, place, covering, tuple(notes), has_parcels=stated is None)


def class_shapes(
    file: Path,
    column: str,
    grid: Grid,
    area: BaseGeometry,
    legend: Legend | None,
    with_other: bool,
    fold_column: str | None,
    keys: VectorKeys,
    unlabelled: Sequence[int | str],
) -> tuple[geopandas.GeoDataFrame, Legend, ClassRaster | None, list[str]]:
    """Read the labelled shapes of an area; arguments and errors are those of `read_labels`.

    Args:
        with_other: whether the legend also has the class `other`.

    Returns:
        Shapes in the grid's CRS with `code`, `number` and, if given, `fold`; the legend; what a raster states; notes.
    """
    shapes_, stated, notes = _read_shapes(file, column, fold_column, grid, legend, keys)
    shapes_ = _without_unlabelled(shapes_, unlabelled, notes)
    if shapes_.empty:
        raise LabelError(
            f"reading labels {file}: the column '{column}' is empty; give the column with the crop codes", column=column
        )
    shapes_ = shapes_inside(shapes_, area, grid, file, notes)
    if legend is None:
        legend = legend_of(set(shapes_["code"]) | ({OTHER} if with_other else set()), stated)
    try:
        shapes_["number"] = legend.encode(shapes_["code"].to_numpy())
    except LabelError as error:
        raise LabelError(f"reading labels {file}: {error}", **error.facts) from error
    return shapes_, legend, stated, notes


def _require_classes(label: NDArray[np.uint8], legend: Legend, file: Path, notes: list[str]) -> None:
    """Refuse labels of a single class; adds a note on classes without any label."""
    classes_present = np.unique(label[label != UNLABELLED])
    if len(classes_present) < 2:
        name = legend.classes[classes_present[0]].name if len(classes_present) else "none"
        raise LabelError(
            f"reading labels {file}: it has a single class ({name}); a model needs at least two, so label more "
            "crops, or give other land as `other`",
            classes=len(classes_present),
        )
    absent = [entry.code for number, entry in enumerate(legend.classes) if number not in classes_present]
    if absent:
        notes.append(
            f"classes of the legend without any label in {file.name}, which these labels alone "
            f"cannot teach: {listed(absent)}"
        )


def shapes_inside(
    shapes_: geopandas.GeoDataFrame, area: BaseGeometry, grid: Grid, file: Path, notes: list[str]
) -> geopandas.GeoDataFrame:
    """The shapes that touch the area, in the grid's CRS; adds a note on the others."""
    placed = shapes_.to_crs(str(grid.crs))
    inside = placed.intersects(reproject(area, LONLAT, str(grid.crs)))
    outside = shapes_[~inside]
    exchanged = count_if_exchanged(outside, area)
    if not inside.any():
        west, south, east, north = (round(float(edge), 3) for edge in shapes_.to_crs(LONLAT).total_bounds)
        remedy = f"{EXCHANGED}, so put these right in the file" if exchanged else "give labels of this area"
        raise LabelError(
            f"reading labels {file}: none of the {len(shapes_)} shapes is inside the area; they span longitudes {west} "
            f"to {east} and latitudes {south} to {north}; {remedy}",
            bounds=(west, south, east, north),
            exchanged=exchanged,
        )
    if len(outside):
        more = f"; of {exchanged} of them: {EXCHANGED}" if exchanged else ""
        notes.append(f"{len(outside)} of {len(shapes_)} labelled shapes are outside the area{more}")
    return placed[inside].reset_index(drop=True)


def draw_shapes(
    shapes_: geopandas.GeoDataFrame, grid: Grid, notes: list[str]
) -> tuple[geopandas.GeoDataFrame, NDArray[np.int32]]:
    """The shapes that cover a pixel, and their row at each pixel (H, W), -1 = none; adds notes on the others."""
    # Where shapes overlap the last one drawn remains: drawing in both orders shows which pixels are contested.
    place, covered_first = (_numbers_on(grid, shapes_.iloc[::step]) for step in (1, -1))
    number = shapes_["number"].to_numpy()
    contested = int((number[place] != number[covered_first])[place >= 0].sum())
    if contested:
        notes.append(f"{contested} pixels are in shapes of different classes; they have the class of the last shape")
    notes.extend(_twice(shapes_))
    covering, renumbered = _only_covering(shapes_, place)
    hidden = shapes_.drop(index=np.unique(place[place >= 0]))
    beneath = _count_beneath(grid, hidden)
    if beneath:
        notes.append(f"{beneath} labelled shapes are completely under others, which have all of their pixels")
    if beneath < len(hidden):
        notes.append(f"{len(hidden) - beneath} labelled shapes do not cover the centre of a pixel")
    return covering, renumbered


def _twice(shapes_: geopandas.GeoDataFrame) -> list[str]:
    """Notes on shapes that have the same outline as an earlier one."""
    outlines = pandas.DataFrame({"outline": shapes_.geometry.normalize().to_wkb(), "number": shapes_["number"]})
    again = int(outlines["outline"].duplicated().sum())
    same = int(outlines.duplicated().sum())
    notes = [f"{same} labelled shapes are in the file more than once"] if same else []
    if again > same:
        notes.append(f"{again - same} labelled shapes have the outline of another shape, but a different class")
    return notes


def _count_beneath(grid: Grid, hidden: geopandas.GeoDataFrame) -> int:
    """How many of the shapes of which nothing is visible would cover a pixel alone."""
    is_point = hidden.geometry.geom_type.isin(["Point", "MultiPoint"])
    count = int(is_point.sum())  # a point in the area is always in a pixel
    hidden = hidden[~is_point]
    outline = hidden.geometry.normalize().to_wkb()
    alike = outline.map(outline.value_counts())
    hidden = hidden[~outline.duplicated()]
    while len(hidden):
        # each drawing shows those that no other of the hidden shapes covers
        drawn = _numbers_on(grid, hidden)
        seen = np.unique(drawn[drawn >= 0])
        if not len(seen):
            break
        count += int(alike[seen].sum())
        hidden = hidden.drop(index=seen)
    return count


def legend_of(codes: set[str], stated: ClassRaster | None) -> Legend:
    """Return the legend of these codes, with names and colours from the file if it has them; `other` comes last."""
    ordered = [*sorted(codes - {OTHER}), *sorted(codes & {OTHER})]
    if stated is None:
        return Legend.of(ordered)
    if stated.legend is None:
        return stated.legend_of(ordered)
    known = tuple(entry for entry in stated.legend.classes if entry.code in codes)
    added = Legend.of([OTHER]).classes if OTHER in codes - set(stated.legend.codes) else ()
    return Legend(classes=known + added)


def _without_unlabelled(
    shapes_: geopandas.GeoDataFrame, unlabelled: Sequence[int | str], notes: list[str]
) -> geopandas.GeoDataFrame:
    """The shapes whose code does not mean "unlabelled"; adds a note on the others."""
    out = shapes_["code"].isin([code_of(code) for code in unlabelled])
    if out.any():
        codes = ", ".join(sorted(set(shapes_["code"][out])))
        notes.append(f"{int(out.sum())} of {len(shapes_)} shapes are unlabelled (code {codes})")
    return shapes_[~out]


def _numbers_on(grid: Grid, shapes_: geopandas.GeoDataFrame) -> NDArray[np.int32]:
    """(H, W), index of the last shape that contains the pixel's centre, or of the last point in it; -1 for none."""
    numbered = zip(shapes_.geometry, (int(number) for number in shapes_.index), strict=True)
    index: NDArray[np.int32] = rasterize(
        numbered, out_shape=grid.shape, transform=grid.transform, fill=-1, dtype="int32"
    )
    return index


def _only_covering(
    shapes_: geopandas.GeoDataFrame, place: NDArray[np.int32]
) -> tuple[geopandas.GeoDataFrame, NDArray[np.int32]]:
    """The shapes that cover a pixel, and the place raster renumbered to them."""
    used = np.unique(place[place >= 0])
    renumber = np.full(len(shapes_) + 1, -1, np.int32)
    renumber[used] = np.arange(len(used))
    return shapes_.iloc[used].reset_index(drop=True), renumber[place]


def _read_shapes(
    file: Path, column: str, fold_column: str | None, grid: Grid, legend: Legend | None, keys: VectorKeys
) -> tuple[geopandas.GeoDataFrame, ClassRaster | None, list[str]]:
    """Shapes with `code` and, if given, `fold`, in the grid's CRS; what a raster states; what was not used."""
    about = f"reading labels {file}"
    if file.suffix.lower() in RASTERS:
        require_no_keys(keys, about)
        return _raster_shapes(file, grid)
    layer = read_vector(file, about, LabelError, keys=keys)
    frame = layer.frame
    for name in (column, fold_column):
        if name is not None and name not in frame.columns:
            columns = [str(other) for other in frame.columns if other != frame.geometry.name]
            hint = did_you_mean(name, columns)
            raise LabelError(
                f"{about}: it has no column {name!r} (it has {', '.join(columns) or 'none'}){hint}", column=name
            )
    try:
        codes, notes = read_codes(frame[column], legend.every_code if legend else ())
    except LabelError as error:
        raise LabelError(f"{about}, column '{column}': {error}", **error.facts) from error
    if legend is None:
        if fault := why_not_classes(codes):
            columns = [str(name) for name in frame.columns if name != frame.geometry.name]
            raise LabelError(
                f"{about}, column '{column}': {fault}; name the column of the class codes (columns: "
                f"{', '.join(columns)}), or give a `legend` that lists them",
                column=column,
                columns=columns,
            )
        notes += year_notes(codes)
    usable = (np.array(codes) != "") & ~frame.geometry.is_empty & frame.geometry.notna()
    if not usable.all():
        notes.append(f"{int((~usable).sum())} of {len(frame)} shapes have no code or no geometry")
    frame = frame[usable]
    content = {
        "code": np.array(codes)[usable].tolist(),
        "geometry": frame.geometry.to_numpy(),
        "row": np.flatnonzero(usable),
    }
    if fold_column is not None:
        content["fold"] = [str(value).strip() for value in frame[fold_column]]
    return geopandas.GeoDataFrame(content, crs=frame.crs), None, [*layer.notes, *notes]


def _raster_shapes(file: Path, grid: Grid) -> tuple[geopandas.GeoDataFrame, ClassRaster, list[str]]:
    """Shapes of connected pixels of one code, what the file states about its codes, and notes on them."""
    values, known, stated = raster_codes_on(file, grid, f"reading labels {file}")
    # The polygons are drawn from indices of codes: codes of ten digits do not fit into the int32 of `shapes`.
    different, index = np.unique(values[known], return_inverse=True)
    indices = np.zeros(grid.shape, np.int32)
    indices[known] = index
    written = dict(enumerate(stated.legend.codes)) if stated.legend is not None else {}
    codes = [written.get(int(value), code_of(value)) for value in different]
    polygons = _regions(indices, known, grid)
    content = {"code": [codes[number] for _, number in polygons], "geometry": [outline for outline, _ in polygons]}
    frame = geopandas.GeoDataFrame(content, geometry="geometry", crs=str(grid.crs))
    return frame, stated, stated.notes(different, "list it in `unlabelled` under [labels]")


def _regions(indices: NDArray[np.int32], known: NDArray[np.bool_], grid: Grid) -> list[tuple[BaseGeometry, int]]:
    """Connected pixels of one index (H, W), as polygons; those that are longer or wider than a tile are cut by tiles.

    A field is smaller than a tile and stays whole; a forest is not one place of one block.
    """
    side = TILE / (METRES_PER_DEGREE if grid.crs.geographic else 1.0)
    drawn = [(shape(outline), int(number)) for outline, number in shapes(indices, known, transform=grid.transform)]
    whole: list[tuple[BaseGeometry, int]] = []
    large: list[tuple[BaseGeometry, int]] = []
    for outline, number in drawn:
        west, south, east, north = outline.bounds
        (large if max(east - west, north - south) > side else whole).append((outline, number))
    if not large:
        return whole
    pixels = max(1, round(side / grid.resolution))
    rows, cols = (np.arange(length) // pixels for length in grid.shape)
    tile = (rows[:, None] * (cols[-1] + 1) + cols).astype(np.int32)
    # pixels of equal index touch only within a region, so a region's pieces are those of its index in a tile
    classes = int(indices.max()) + 1
    inside = rasterize([outline for outline, _ in large], grid.shape, transform=grid.transform, dtype="uint8") > 0
    cut = shapes(tile * classes + indices, inside & known, transform=grid.transform)
    return [*whole, *((shape(outline), int(number) % classes) for outline, number in cut)]


def require_no_keys(keys: VectorKeys, about: str) -> None:
    """Refuse a raster of which something is stated that only vector files have."""
    stated = [name for name in VectorKeys.model_fields if getattr(keys, name) is not None]
    if stated:
        raise LabelError(f"{about}: `{stated[0]}` is for vector files, and this is a raster; remove it", key=stated[0])


def other_mask(other: Path, values: Sequence[int], keys: VectorKeys, grid: Grid, notes: list[str]) -> NDArray[np.bool_]:
    """(H, W), True for land of the class `other`; adds notes on its file."""
    about = f"reading other land, {other} (keys: [labels.other_file])"
    if other.suffix.lower() in RASTERS:
        require_no_keys(keys, about)
        if not values:
            raise LabelError(f"{about}: `other_values` is empty; list there the values that mean `other`")
        codes, known, _ = raster_codes_on(other, grid, about)
        return known & np.isin(codes, values)
    layer = read_vector(other, about, LabelError, keys=keys)
    notes.extend(f"other land: {note}" for note in layer.notes)
    outlines = [(outline, 1) for outline in layer.frame.geometry.dropna().to_crs(str(grid.crs))]
    return np.asarray(rasterize(outlines, out_shape=grid.shape, transform=grid.transform, dtype="uint8") > 0)
