"""Scenes of raster files: what each name states, which assets a file holds, and which files are one scene."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError

from agrifm.errors import SceneError
from agrifm.rasters import open_raster
from agrifm.scene.duplicates import OLDER
from agrifm.scene.encoding import read_baseline
from agrifm.scene.file_names import NamedFile, NameScheme, read_name, scheme_of
from agrifm.scene.products import Product
from agrifm.scene.scene import FileAsset
from agrifm.sensors import SENSORS

SAFE_METADATA = "MTD_MSIL2A.xml"
"""The file in the folder of a Sentinel-2 product that states its processing baseline."""
UNPACK = {".zip", ".tar", ".gz", ".tgz", ".bz2", ".7z"}
HDF = {".hdf", ".h4", ".hdf4"}

SceneKey = tuple[date, str, str, str, str]
"""Day, tile, time, satellite and part: what distinguishes the scenes of a product."""


@dataclass(frozen=True)
class FileScene:
    """The files of one scene."""

    moment: str
    """Date, and where they are needed to tell scenes apart, tile, time, satellite and part: the end of the id."""
    day: date
    assets: Mapping[str, FileAsset]
    baseline: str | None
    """Processing baseline that the names or the product's metadata state."""


@dataclass(frozen=True)
class _Held:
    """One asset that a file holds."""

    asset: FileAsset
    named: NamedFile


@dataclass(frozen=True)
class RasterScenes:
    """The scenes of raster files."""

    scenes: list[FileScene]
    removed: Counter[str]
    """Files of other products, and older processings, that were left out."""
    failed: dict[Path, SceneError]
    """Files that cannot be opened, or whose dates or bands are not recognised."""


def raster_scenes(files: Sequence[Path], product: Product, names: Mapping[str, str]) -> RasterScenes:
    """Group raster files into scenes.

    Args:
        names: asset key by every word that may name it in a file's name or band descriptions.

    Raises:
        SceneError: none of the files holds a band of the product, or two files hold the same asset of a scene.
    """
    removed: Counter[str] = Counter()
    failed: dict[Path, SceneError] = {}
    others: set[str] = set()
    scenes: dict[SceneKey, dict[tuple[str, str], defaultdict[str, list[_Held]]]] = defaultdict(dict)
    for file in files:
        scheme = scheme_of(file, product.file_names)
        if scheme is not None and scheme not in product.file_names:
            removed[f"files of {scheme.title}, which '{product.name}' does not read"] += 1
            continue
        try:
            named, held = _read_file(file, scheme, product, names)
        except SceneError as error:
            failed[file] = error
            continue
        key = (named.day, named.tile, named.time, named.satellite, named.part)
        if not held:
            others.add(str(named.band))
        for asset_key, asset in held.items():
            scenes[key].setdefault(named.version, defaultdict(list))[asset_key].append(_Held(asset, named))
    if others and not (scenes or removed or failed):
        raise SceneError(
            f"looking for files of '{product.name}': the names of all {len(files)} say that they hold something else "
            f"({', '.join(sorted(others))}); let `pattern` match the files of its bands",
            found=sorted(others),
        )
    found, keys = [], sorted(scenes)
    for key in keys:
        newest = max(scenes[key])
        if len(scenes[key]) > 1:
            removed[OLDER] += len(scenes[key]) - 1
        chosen = {asset: _one_of(held, asset, product) for asset, held in scenes[key][newest].items()}
        baseline = _baseline([held.named for held in chosen.values()], chosen, product)
        assets = {asset: held.asset for asset, held in chosen.items()}
        found.append(FileScene(_moment(key, keys), key[0], assets, baseline))
    return RasterScenes(found, removed, failed)


def _read_file(
    file: Path, scheme: NameScheme | None, product: Product, names: Mapping[str, str]
) -> tuple[NamedFile, dict[str, FileAsset]]:
    """What the name of a file states, and the assets that it holds."""
    about = f"reading {file} as '{product.name}'"
    if scheme is None and any(own.only for own in product.file_names):
        raise SceneError(
            f"{about}: its path does not fit `file_name` of [imagery.product]; correct `file_name`, or let "
            "`pattern` match fewer files",
            path=file,
        )
    named = read_name(file, scheme, about)
    of_scheme = dict(keys_of(scheme, product)) if scheme is not None else {}
    return named, _assets(file, named, {**of_scheme, **names}, product.stack, about)


def keys_of(scheme: NameScheme, product: Product) -> list[tuple[str, str]]:
    """The words of a scheme, each with the key of the product's asset that it means."""
    of_rules = {rule: key for key, rule in reversed(product.quality_bands.items()) if isinstance(rule, str)}
    keys = [(word, product.assets.get(meant) or of_rules.get(meant)) for word, meant in scheme.words.items()]
    return [(word, key) for word, key in keys if key is not None]


def _moment(key: SceneKey, keys: Sequence[SceneKey]) -> str:
    """The end of a scene's id: its date, and what else tells it apart from the others."""
    day, tile, *rest = key
    words = [day.strftime("%Y%m%d")]
    if len({other[1] for other in keys}) > 1:
        words.append(tile)
    if sum(other[:2] == key[:2] for other in keys) > 1:
        words += rest
    return "_".join(word.strip("-_") for word in words if word)


def _assets(
    file: Path, named: NamedFile, names: Mapping[str, str], stack: Sequence[str], about: str
) -> dict[str, FileAsset]:
    """The assets that a file holds, by key; none if its scheme says that it is something else."""
    scheme = named.scheme
    if scheme is not None and named.band:
        if named.band not in scheme.stacks:
            return {names[named.band]: FileAsset(file)} if named.band in names else {}
    else:
        # whole words only: B2 is not B02, and B02 is not B021
        word = r"(?<![0-9A-Za-z]){}(?![0-9A-Za-z])"
        keys = {key for name, key in names.items() if re.search(word.format(re.escape(name)), file.stem)}
        if len(keys) == 1 and len(_descriptions(file, about, certain=False)) <= 1:
            return {keys.pop(): FileAsset(file)}
    descriptions = _descriptions(file, about)
    if scheme is not None and named.band:
        stack = scheme.stacks[named.band]
    if stack and not any(descriptions):
        if len(stack) != len(descriptions):
            raise SceneError(
                f"{about}: it has {len(descriptions)} bands without descriptions, where {len(stack)} are known "
                f"({', '.join(stack)}); describe the bands in the file, or give `stack` in [imagery.product]",
                bands=len(descriptions),
            )
        descriptions = tuple(stack)
    assets: dict[str, FileAsset] = {}
    for index, name in enumerate(descriptions, 1):
        if names.get(name) in assets:
            raise SceneError(
                f"{about}: two of its bands are described as '{name}' or mean the same; correct the descriptions",
                band=name,
            )
        if name in names:
            assets[names[name]] = FileAsset(file, index)
    if not assets and len(descriptions) > 1:
        described = f"described as {', '.join(map(repr, descriptions[:12]))}" if any(descriptions) else "not described"
        raise SceneError(
            f"{about}: its {len(descriptions)} bands are {described}, and none is one of {', '.join(names)}; describe "
            "the bands in the file, or give `stack` or `assets` in [imagery.product]",
            bands=len(descriptions),
        )
    if not assets:
        raise SceneError(
            f"{about}: neither its name nor its band descriptions contain one of {', '.join(names)}; add the band to "
            "the file's name, or say where it is with `file_name` of [imagery.product]"
        )
    return assets


def _descriptions(file: Path, about: str, certain: bool = True) -> tuple[str, ...]:
    """Descriptions of the bands of a file, "" without one.

    Args:
        certain: False returns () for a file that cannot be opened, as it is reported where it is read.
    """
    try:
        with open_raster(file) as source:
            texts = [(text or "").strip() for text in source.descriptions]
            # an alpha band says where the others have pixels
            return tuple(texts[:-1] if source.colorinterp[-1] == ColorInterp.alpha else texts)
    except RasterioError as error:
        if not certain:
            return ()
        reason, remedy = str(error).splitlines()[0], "download it again"
        if file.suffix.lower() in UNPACK:
            reason, remedy = "it is an archive", "unpack it, and let `pattern` match the images in it"
        elif file.suffix.lower() in HDF:
            reason = "GDAL was built here without HDF4"
            remedy = (
                "convert it with a GDAL that has it (`gdal_translate -sds FILE.hdf FILE.tif` of conda-forge's "
                "libgdal-hdf4), or fetch the product from `planetary-computer`"
            )
        raise SceneError(f"{about}: {reason}; {remedy}") from error


def _one_of(held: Sequence[_Held], key: str, product: Product) -> _Held:
    """Of the files that hold an asset of a scene, that in the band's own resolution, or in the finest there is."""
    if len(held) > 1:
        band = next((band for band, asset in product.assets.items() if asset == key), None)
        sensor = SENSORS.get(product.sensor)
        sizes = {one.name: one.ground_sampling_distance for one in sensor.bands} if sensor else {}
        wanted = sizes.get(band or "")
        stated = [one.named.resolution for one in held if one.named.resolution is not None]
        best = wanted if wanted in stated else min(stated, default=None)
        fitting = [one for one in held if one.named.resolution == best]
        if len(fitting) > 1:
            first, second = (one.asset.path for one in fitting[:2])
            raise SceneError(
                f"looking for files of '{product.name}': {first} and {second} both hold '{key}' of "
                f"{held[0].named.day}; remove one of them or let "
                "`pattern` match one; if they are two tiles, put the tiles' names (such as T31TDN) into the names of "
                "the files or folders",
                files=(first, second),
            )
        return fitting[0]
    return held[0]


def _baseline(named: Sequence[NamedFile], chosen: Mapping[str, _Held], product: Product) -> str | None:
    """The processing baseline that names state, or the metadata in the folder of a Sentinel-2 product."""
    stated = {one.baseline for one in named if one.baseline is not None}
    if stated or product.offset_from_baseline is None:
        return max(stated, default=None)
    for folder in list(next(iter(chosen.values())).asset.path.parents)[:6]:
        metadata = folder / SAFE_METADATA
        if metadata.is_file():
            match = re.search(r"<PROCESSING_BASELINE>([^<]*)<", metadata.read_text(encoding="utf-8", errors="replace"))
            return match[1] if match and read_baseline(match[1]) else None
    return None
