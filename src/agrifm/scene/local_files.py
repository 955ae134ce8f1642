"""Scenes from local files: GeoTIFF or NetCDF files that match a pattern, or an xarray.Dataset."""

import glob
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from affine import Affine
from pyproj import CRS, Transformer
from rasterio.errors import RasterioError

from agrifm.errors import SceneError, require_installed
from agrifm.rasters import open_raster
from agrifm.scene.products import Product
from agrifm.scene.scene import ArrayAsset, Asset, FileAsset, Scene, solar_day
from agrifm.scene.search import SearchResult
from agrifm.season import Season

if TYPE_CHECKING:
    import xarray as xr

DATE_IN_NAME = re.compile(r"(?<!\d)(\d{4})-?(\d{2})-?(\d{2})(?!\d)")
NETCDF_SUFFIXES = {".nc", ".nc4", ".cdf"}


def search_files(
    directory: Path,
    pattern: str,
    product: Product,
    season: Season,
    skip: Sequence[str] = (),
    baseline: str | None = None,
) -> SearchResult:
    """Find the scenes of the files that match a pattern, grouped by date.

    A NetCDF file has dimensions (time, y, x) and one variable per asset. A GeoTIFF has its date in its name
    (YYYYMMDD or YYYY-MM-DD). It holds either one asset, whose key or band name is a word of its name, or several, whose
    keys or band names are its band descriptions.

    Args:
        baseline: processing baseline of the files, if the product's offset depends on it.

    Raises:
        SceneError: no file matches, a file's date or bands are not recognised, or two files hold the same asset.
    """
    files = sorted(directory / name for name in glob.glob(pattern, root_dir=directory, recursive=True))
    if not files:
        raise SceneError(f"looking for files of '{product.name}': nothing matches {directory / pattern}")
    assets: dict[tuple[str, int], dict[str, Asset]] = defaultdict(dict)
    days: dict[tuple[str, int], date] = {}
    for file in files:
        if file.suffix.lower() in NETCDF_SUFFIXES:
            acquisitions = _dataset_scenes(_open_netcdf(file, product), product, file.name, file)
        else:
            acquisitions = [_geotiff(file, product)]
        # a time may occur several times in a file; its n-th occurrences in all files are one scene
        occurrences: Counter[str] = Counter()
        for moment, day, new in acquisitions:
            key = (moment, occurrences[moment])
            occurrences[moment] += 1
            twice = sorted(assets[key].keys() & new.keys())
            if twice:
                raise SceneError(
                    f"looking for files of '{product.name}': {file.name} and an earlier file both hold '{twice[0]}' "
                    f"of {day}; write one [[imagery.files]] table per tile"
                )
            assets[key].update(new)
            days[key] = day
    result = SearchResult()
    for moment, repeat in sorted(assets):
        scene_id = f"{product.name}_{moment}" + (f"_{repeat + 1}" if repeat else "")
        source, day = str(directory / pattern), days[moment, repeat]
        result.keep(_scene(scene_id, product, day, assets[moment, repeat], source, baseline), season, skip)
    result.require_some(season, str(directory / pattern))
    return result


def search_dataset(
    dataset: "xr.Dataset", product: Product, season: Season, skip: Sequence[str] = (), baseline: str | None = None
) -> SearchResult:
    """Find the scenes of an `xarray.Dataset` (time, y, x) with one variable of integer digital numbers per asset.

    The CRS is that of the variable `spatial_ref` (`crs_wkt`) or the attribute `crs`.

    Raises:
        SceneError: dimensions, CRS or encoding are missing or contradict the product.
    """
    result = SearchResult()
    occurrences: Counter[str] = Counter()
    for moment, day, assets in _dataset_scenes(dataset, product, "the dataset"):
        scene_id = f"{product.name}_{moment}" + (f"_{occurrences[moment] + 1}" if occurrences[moment] else "")
        occurrences[moment] += 1
        result.keep(_scene(scene_id, product, day, assets, "xarray.Dataset", baseline), season, skip)
    result.require_some(season, "the dataset")
    return result


def _scene(
    scene_id: str, product: Product, day: date, assets: dict[str, Asset], source: str, baseline: str | None
) -> Scene:
    last_day = day + timedelta(days=product.period - 1) if product.is_composite else None
    return Scene(scene_id, product, day, assets, source, last_day, baseline)


def _open_netcdf(file: Path, product: Product) -> "xr.Dataset":
    require_installed(f"reading {file} as '{product.name}'", "files", "xarray", "h5netcdf", kind=SceneError)
    import xarray as xr

    try:
        return xr.open_dataset(file, engine="h5netcdf", mask_and_scale=False)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise SceneError(f"reading {file} as '{product.name}': {reason}; download it again") from error


def _dataset_scenes(
    dataset: "xr.Dataset", product: Product, name: str, file: Path | None = None
) -> list[tuple[str, date, dict[str, Asset]]]:
    about = f"reading {name} as '{product.name}'"
    wanted = {*product.assets.values(), *product.quality_bands, product.day_asset} - {None}
    variables = [key for key in dataset.data_vars if key in wanted]
    if not variables:
        raise SceneError(f"{about}: it has none of the variables {', '.join(sorted(map(str, wanted)))}")
    for dimension in ("time", "y", "x"):
        if dimension not in dataset.coords:
            raise SceneError(f"{about}: it has no coordinate '{dimension}'; name its coordinates time, y and x")
    for key in variables:
        _require_integers(dataset[key], product, about)
    crs, transform = _dataset_crs(dataset, about), _dataset_transform(dataset, about)
    middle = float(dataset.x.values.mean()), float(dataset.y.values.mean())
    longitude, _ = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(*middle)
    acquisitions = []
    for position, time in enumerate(dataset.time.values):
        moment: datetime = np.datetime64(time, "s").astype(datetime)
        assets: dict[str, Asset] = {
            str(key): ArrayAsset(dataset[key].isel(time=position), crs, transform, file) for key in variables
        }
        acquisitions.append((moment.strftime("%Y%m%dT%H%M%S"), solar_day(moment, longitude), assets))
    return acquisitions


def _require_integers(variable: "xr.DataArray", product: Product, about: str) -> None:
    if not np.issubdtype(variable.dtype, np.integer):
        raise SceneError(
            f"{about}: variable '{variable.name}' holds {variable.dtype}, not the digital numbers that the product "
            "encodes; open the file with mask_and_scale=False"
        )
    expected = {"scale_factor": product.scale, "_FillValue": product.nodata}
    if product.offset_from_baseline is None:  # otherwise the offset depends on the baseline of the files
        expected["add_offset"] = product.offset
    for name, value in expected.items():
        stated = variable.attrs.get(name)
        if variable.name in product.assets.values() and stated is not None and abs(float(stated) - value) > 1e-12:
            raise SceneError(
                f"{about}: variable '{variable.name}' states {name} {stated}, the product has {value:g}; "
                "use the product that fits these files"
            )


def _dataset_crs(dataset: "xr.Dataset", about: str) -> str:
    holders = [dataset[name].attrs for name in ("spatial_ref", "crs") if name in dataset.variables]
    for attributes in (*holders, dataset.attrs):
        for key in ("crs_wkt", "spatial_ref", "crs"):
            if attributes.get(key):
                return str(CRS.from_user_input(attributes[key]).to_wkt())
    raise SceneError(
        f"{about}: it has no coordinate reference system; add a variable spatial_ref with the attribute crs_wkt"
    )


def _dataset_transform(dataset: "xr.Dataset", about: str) -> Affine:
    steps = []
    for axis in ("x", "y"):
        differences = np.diff(dataset[axis].values.astype(float))
        if not len(differences) or np.ptp(differences) > 1e-3 * abs(differences[0]):
            raise SceneError(f"{about}: its coordinate '{axis}' is not evenly spaced over two pixels or more")
        steps.append(float(differences.mean()))
    # coordinates are those of pixel centres
    left, top = float(dataset.x.values[0]) - steps[0] / 2, float(dataset.y.values[0]) - steps[1] / 2
    return Affine(steps[0], 0, left, 0, steps[1], top)


def _geotiff(file: Path, product: Product) -> tuple[str, date, dict[str, Asset]]:
    about = f"reading {file} as '{product.name}'"
    match = DATE_IN_NAME.search(file.stem)
    if match is None:
        raise SceneError(f"{about}: its name has no date (YYYYMMDD or YYYY-MM-DD)")
    try:
        day = date(*(int(part) for part in match.groups()))
    except ValueError as error:
        raise SceneError(f"{about}: '{match.group()}' in its name is not a date") from error
    moment = day.strftime("%Y%m%d")
    names = _asset_names(product)
    # whole words only: B2 is not B02, and B02 is not B021
    keys = {key for name, key in names.items() if re.search(rf"(?<![0-9A-Za-z]){name}(?![0-9A-Za-z])", file.stem)}
    if len(keys) == 1:
        return moment, day, {keys.pop(): FileAsset(file)}
    try:
        with open_raster(file) as source:
            described = enumerate(source.descriptions, start=1)
            assets: dict[str, Asset] = {
                names[name]: FileAsset(file, index) for index, name in described if name in names
            }
    except RasterioError as error:
        raise SceneError(f"{about}: {error}; download it again") from error
    if not assets:
        raise SceneError(
            f"{about}: neither its name nor its band descriptions contain one of "
            f"{', '.join(names)}; add the band to the file's name"
        )
    return moment, day, assets


def _asset_names(product: Product) -> dict[str, str]:
    """Asset key by every word that may name it: band name and asset key."""
    names = {key: key for key in (*product.quality_bands, product.day_asset) if key is not None}
    for band, key in product.assets.items():
        names |= {band: key, key: key}
    return names
