"""Scenes from local files: GeoTIFF or NetCDF files that match a pattern, or an xarray.Dataset."""

import glob
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from affine import Affine
from pyproj import CRS, Transformer

from agrifm.errors import SceneError, require_installed
from agrifm.files import AnyPath, as_path
from agrifm.scene.encoding import read_baseline
from agrifm.scene.file_names import AUXILIARY
from agrifm.scene.products import Product
from agrifm.scene.raster_files import keys_of, raster_scenes
from agrifm.scene.scene import ArrayAsset, Asset, Scene, solar_day
from agrifm.scene.search import SearchResult
from agrifm.season import Season

if TYPE_CHECKING:
    import xarray as xr

NETCDF_SUFFIXES = {".nc", ".nc4", ".cdf"}


def search_files(
    directory: AnyPath,
    pattern: str,
    product: Product,
    season: Season,
    skip: Sequence[str] = (),
    baseline: str | None = None,
) -> SearchResult:
    """Find the scenes of the files that match a pattern, grouped by date.

    A NetCDF file has dimensions (time, y, x) and one variable per asset. The name of any other file states its date,
    in the way of one of the product's naming schemes (`scene.file_names`) or in any other. The file holds either one
    asset, which its name states, or several, which its band descriptions state.

    Args:
        baseline: processing baseline of the files, if the product's offset depends on it and they do not state it.

    Raises:
        SceneError: no file matches, a file's date or bands are not recognised, or two files hold the same asset.
    """
    directory = as_path(directory)
    files = matching_files(directory, pattern, product)
    source = str(directory / pattern)
    result = SearchResult()
    netcdf = [file for file in files if file.suffix.lower() in NETCDF_SUFFIXES]
    for moment, day, assets in _netcdf_scenes(netcdf, product):
        result.keep(_scene(f"{product.name}_{moment}", product, day, assets, source, baseline), season, skip)
    rasters = [file for file in files if file not in set(netcdf)]
    scenes, removed = raster_scenes(rasters, product, _asset_names(product))
    result.removed += removed
    for scene in scenes:
        scene_id = f"{product.name}_{scene.moment}"
        of_scene = _agreed_baseline(baseline, scene.baseline, scene_id)
        result.keep(_scene(scene_id, product, scene.day, dict(scene.assets), source, of_scene), season, skip)
    result.require_some(season, source)
    return result


def matching_files(directory: Path, pattern: str, product: Product) -> list[Path]:
    """Files that match a glob pattern; what exists under the very name of a part of it is meant literally.

    Metadata, masks and pictures in folders of images are left out.

    Raises:
        SceneError: no image matches.
    """
    # * ? [ ] may be in the name of a folder
    base, parts = directory, []
    for part in Path(pattern).parts:
        literal = (base / part).exists()
        parts.append(glob.escape(part) if literal else part)
        base = base / part
    found = sorted(directory / name for name in glob.glob(str(Path(*parts)), root_dir=directory, recursive=True))
    files = [file for file in found if file.is_file() and not AUXILIARY.search(file.as_posix())]
    if files:
        return files
    about = f"looking for files of '{product.name}'"
    if found:
        raise SceneError(
            f"{about}: {directory / pattern} matches {found[0].name} and nothing else that is an image; let `pattern` "
            "match the images, such as imagery/**/*.tif"
        )
    folder = next((parent for parent in (directory / pattern).parents if parent.is_dir()), directory)
    suffixes = Counter("folders" if entry.is_dir() else entry.suffix or "others" for entry in folder.iterdir())
    has = f"{folder} has {', '.join(f'{n} {suffix}' for suffix, n in suffixes.most_common(3)) or 'nothing'}"
    signs = "" if not set("[]{}\\") & set(pattern) else "; * ? [ ] have a meaning in a pattern, { } and \\ have none"
    raise SceneError(
        f"{about}: nothing matches {directory / pattern} ({has}); correct `pattern`, in which letters of either case "
        f"are different and ** means folders of any depth{signs}",
        pattern=pattern,
    )


def _netcdf_scenes(files: Sequence[Path], product: Product) -> list[tuple[str, date, dict[str, Asset]]]:
    """The end of the id, the day and the assets of the scenes of NetCDF files, which may share scenes."""
    assets: dict[tuple[str, int], dict[str, Asset]] = defaultdict(dict)
    days: dict[tuple[str, int], date] = {}
    for file in files:
        # a time may occur several times in a file; its n-th occurrences in all files are one scene
        occurrences: Counter[str] = Counter()
        for moment, day, new in _dataset_scenes(_open_netcdf(file, product), product, file.name, file):
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
    return [
        (moment + (f"_{repeat + 1}" if repeat else ""), days[moment, repeat], assets[moment, repeat])
        for moment, repeat in sorted(assets)
    ]


def _agreed_baseline(told: str | None, named: str | None, scene_id: str) -> str | None:
    """The processing baseline that the project or the files state.

    Raises:
        SceneError: they contradict each other.
    """
    if told is not None and named is not None and not set(read_baseline(told)) & set(read_baseline(named)):
        raise SceneError(
            f"reading scene {scene_id}: `baseline` of the [[imagery.files]] table is {told!r}, but its files state "
            f"{named}; remove `baseline`, or give such files a table of their own",
            baseline=named,
        )
    return named or told


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
    if product.integers and not np.issubdtype(variable.dtype, np.integer):
        raise SceneError(
            f"{about}: variable '{variable.name}' holds {variable.dtype}, not the digital numbers that the product "
            "encodes; open the file with mask_and_scale=False, or describe it in [imagery.product]"
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


def _asset_names(product: Product) -> dict[str, str]:
    """Asset key by every word that may name it: band name, asset key, and what the product's naming schemes call it."""
    names = {key: key for key in (*product.quality_bands, *product.other_quality, product.day_asset) if key is not None}
    for band, key in product.assets.items():
        names |= {band: key, key: key}
    # what a scheme with stacks calls a band (NIR) means another one elsewhere
    aliases = {
        word: key for scheme in product.file_names if not scheme.stacks for word, key in keys_of(scheme, product)
    }
    return aliases | names
