"""Scenes from local files: GeoTIFF or NetCDF files that match a pattern, or an xarray.Dataset."""

import glob
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from agrifm.errors import SceneError
from agrifm.files import AnyPath, as_path
from agrifm.imagery_config import MissingChoice
from agrifm.scene.encoding import read_baseline
from agrifm.scene.file_names import AUXILIARY
from agrifm.scene.netcdf import NETCDF_SUFFIXES, dataset_acquisitions, open_netcdf, require_netcdf
from agrifm.scene.products import Product
from agrifm.scene.raster_files import keys_of, raster_scenes
from agrifm.scene.scene import Asset, Scene
from agrifm.scene.search_result import SearchResult
from agrifm.season import Season

if TYPE_CHECKING:
    import xarray as xr


def search_files(
    directory: AnyPath,
    pattern: str,
    product: Product,
    season: Season,
    skip: Sequence[str] = (),
    baseline: str | None = None,
    missing: MissingChoice = "stop",
) -> SearchResult:
    """Find the scenes of the files that match a pattern, grouped by date.

    A NetCDF file has the dimensions time, y and x in any order, and one variable per asset or a dimension of bands
    (`scene.netcdf`). The name of any other file states its date, in the way of one of the product's naming schemes
    (`scene.file_names`) or in any other. The file holds either one asset, which its name states, or several, which its
    band descriptions state.

    Args:
        baseline: processing baseline of the files, if the product's offset depends on it and they do not state it.
        missing: "skip" leaves files that cannot become scenes in the result, for `build_cube`.

    Raises:
        SceneError: no file matches, files cannot be opened, or their dates or bands are not recognised (all of these
            are named), or two files hold the same asset.
    """
    directory = as_path(directory)
    files = matching_files(directory, pattern, product)
    source = str(directory / pattern)
    result = SearchResult()
    netcdf = [file for file in files if file.suffix.lower() in NETCDF_SUFFIXES]
    moments, failed = _netcdf_scenes(netcdf, product)
    for moment, day, assets in moments:
        result.keep(_scene(f"{product.name}_{moment}", product, day, assets, source, baseline), season, skip)
    rasters = [file for file in files if file not in set(netcdf)]
    found = raster_scenes(rasters, product, _asset_names(product))
    result.removed += found.removed
    for file, error in (failed | found.failed).items():
        result.refuse(str(file), error, product.sensor, skip)
    for scene in found.scenes:
        scene_id = f"{product.name}_{scene.moment}"
        try:
            of_scene = _agreed_baseline(baseline, scene.baseline, scene_id)
        except SceneError as error:
            result.refuse(scene_id, error, product.sensor, skip)
            continue
        result.keep(_scene(scene_id, product, scene.day, dict(scene.assets), source, of_scene), season, skip)
    result.require_some(season, source, missing=missing)
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


def _netcdf_scenes(
    files: Sequence[Path], product: Product
) -> tuple[list[tuple[str, date, dict[str, Asset]]], dict[Path, SceneError]]:
    """The end of the id, the day and the assets of scenes, which NetCDF files may share; and why files have none."""
    if files:
        require_netcdf(f"reading {files[0]} as '{product.name}'")
    failed: dict[Path, SceneError] = {}
    assets: dict[tuple[str, int], dict[str, Asset]] = defaultdict(dict)
    days: dict[tuple[str, int], date] = {}
    for file in files:
        # a time may occur several times in a file; its n-th occurrences in all files are one scene
        occurrences: Counter[str] = Counter()
        about = f"reading {file} as '{product.name}'"
        try:
            found = dataset_acquisitions(open_netcdf(file, about), _asset_names(product), about, file)
        except SceneError as error:
            failed[file] = error
            continue
        for moment, day, new in found:
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
    scenes = [
        (moment + (f"_{repeat + 1}" if repeat else ""), days[moment, repeat], assets[moment, repeat])
        for moment, repeat in sorted(assets)
    ]
    return scenes, failed


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
    dataset: "xr.Dataset | xr.DataArray",
    product: Product,
    season: Season,
    skip: Sequence[str] = (),
    baseline: str | None = None,
) -> SearchResult:
    """Find the scenes of an xarray object of integer digital numbers: one variable per asset, or a dimension of bands.

    Dimensions are found by their names (time, y, x and those that `coordinates` knows), in any order. The CRS is that
    of the `grid_mapping`, of the variable `spatial_ref` (`crs_wkt`) or the attribute `crs`.

    Raises:
        SceneError: dimensions, times, coordinates or CRS are missing or contradict each other.
    """
    import xarray as xr

    about = f"reading the dataset as '{product.name}'"
    if isinstance(dataset, xr.DataArray):
        dataset = dataset.to_dataset(name=dataset.name if dataset.name not in (None, *dataset.coords) else "values")
    result = SearchResult()
    occurrences: Counter[str] = Counter()
    for moment, day, assets in dataset_acquisitions(dataset, _asset_names(product), about):
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
