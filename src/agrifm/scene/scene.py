"""Scenes and their assets: one acquisition, or one composite, and the files or arrays that hold its bands."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
from affine import Affine

from agrifm.errors import SceneError, did_you_mean
from agrifm.redaction import shown
from agrifm.scene.connections import Network
from agrifm.scene.encoding import NOTHING_STATED, Encoding, Stated, stated_encoding
from agrifm.scene.products import Product
from agrifm.scene.providers import Provider
from agrifm.scene.quality import QualityRule
from agrifm.scene.reach import ANYWHERE, Reach, local_path
from agrifm.scene.remote import is_remote

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class FileAsset:
    """One band of a raster file."""

    path: Path
    index: int | None = None
    """From 1; None for a file's only band."""


@dataclass(frozen=True)
class RemoteAsset:
    """One band of a raster file on a server."""

    href: str
    """URL as the item states it, without a signature."""
    provider: Provider | None = None
    """Who signs the URL; None if anyone may read it."""
    index: int | None = None
    """From 1; None for a file's only band."""
    network: Network = "any"
    """Where the server may be."""
    stated: str | None = None
    """Checksum or entity tag of the file, if the item states one."""


@dataclass(frozen=True, eq=False)
class ArrayAsset:
    """One band in memory or in a NetCDF file: integers `pixels (y, x)`, read when needed."""

    pixels: "xr.DataArray"
    crs: str
    transform: Affine
    path: Path | None = None
    """The file that holds it; None in memory."""
    stated: Stated = NOTHING_STATED
    """What is stated about its numbers."""
    dtype: np.dtype[Any] | None = None
    """The type that its numbers are meant to have, if they are stored as another (`_Unsigned`)."""


Asset = FileAsset | RemoteAsset | ArrayAsset


def asset_at(
    href: str, provider: Provider | None = None, reach: Reach = ANYWHERE, stated: str | None = None
) -> FileAsset | RemoteAsset:
    """Return the asset at an absolute address: a URL of a server, a file:// URL or a path.

    Args:
        stated: checksum of the file, if the item states one.

    Raises:
        SceneError: the URL has another scheme, or the address is out of reach.
    """
    if is_remote(href):
        reach.require(href)
        return RemoteAsset(href, provider, network=reach.network_for(href), stated=stated)
    scheme = urlsplit(href).scheme
    if scheme not in ("", "file") and len(scheme) > 1:  # a single letter is a drive
        raise SceneError(
            f"reading the asset {shown(href)}: the scheme {scheme}:// is not supported; use a catalogue whose items "
            "have https:// or s3:// URLs or paths of files",
            scheme=scheme,
        )
    reach.require(href)
    return FileAsset(local_path(href))


@dataclass(frozen=True, eq=False)
class Scene:
    """One acquisition or composite of one sensor: a STAC item, or local files with a date."""

    id: str
    product: Product
    day: date
    """Solar day of the acquisition; of a composite, its first day."""
    assets: Mapping[str, Asset]
    """Bands and quality, by asset key."""
    source: str
    """The catalogue item or the files it comes from, for the provenance."""
    last_day: date | None = None
    """Last day of a composite."""
    baseline: str | None = None
    """Processing baseline."""
    offset_removed: bool | None = None
    """The provider's flag: True, it took the offset out of the numbers; None, it states nothing."""
    decided: Encoding | None = None
    """Scale and offset as the offset check decided them; None before the check."""
    unused: tuple[str, ...] = ()
    """Asset keys of the item that the product does not name."""
    unmasked: bool = False
    """Whether the project uses the scene even without its quality bands."""

    @property
    def encoding(self) -> Encoding:
        """Scale and offset as the offset check decided them, otherwise as the metadata state them.

        Raises:
            SceneError: see `stated_encoding`.
        """
        return self.decided or stated_encoding(self.product, self.baseline, self.offset_removed, self.id)

    @property
    def quality_bands(self) -> dict[str, QualityRule]:
        """Asset -> rule of the quality bands to read: the product's, or others that the scene has instead."""
        own = self.product.quality_bands
        present = {key: rule for key, rule in own.items() if key in self.assets}
        other = {key: rule for key, rule in self.product.other_quality.items() if key in self.assets}
        return present if len(present) == len(own) else other or (present if self.unmasked else own)

    @property
    def lacks_quality(self) -> bool:
        """Whether a quality band of the product is absent, with nothing in its place."""
        missing = self.product.quality_bands.keys() - self.assets.keys()
        return bool(missing) and not self.product.other_quality.keys() & self.assets.keys()

    def asset(self, key: str, band: str) -> Asset:
        """Return the asset that holds a band.

        Raises:
            SceneError: the scene has no such asset.
        """
        if key not in self.assets:
            # a provider may have renamed the asset, such as swir22 to swir_22
            renamed = did_you_mean(key, self.unused, cutoff=0.4)
            end = f"{renamed} Repair" if renamed else "; repair"
            raise SceneError(
                f"reading scene {self.id}: it has no asset '{key}' for band '{band}', only "
                f"{', '.join(sorted(self.assets)) or 'none'}{end} the scene or list its id in `skip`",
                scene=self.id,
                asset=key,
                band=band,
            )
        return self.assets[key]

    def require_assets(self) -> None:
        """Refuse a scene that lacks the asset of a band, of the quality or of the days, before any pixel is read.

        Raises:
            SceneError: the first asset that is absent.
        """
        product = self.product
        for band, key in product.assets.items():
            self.asset(key, band)
        for key in self.quality_bands:
            if key not in self.assets:
                raise SceneError(
                    f"reading scene {self.id}: it has no quality band '{key}' (it has "
                    f"{', '.join(sorted(self.assets)) or 'nothing'}); add the file with it, list its id in `skip`, or "
                    'set `without_quality` of [imagery] to "keep" to use all its pixels, clouds included',
                    scene=self.id,
                    asset=key,
                )
        if product.day_asset is not None:
            self.asset(product.day_asset, "day")


def solar_day(moment: datetime, longitude: float) -> date:
    """Return the solar date of a moment (UTC unless it has a time zone) at a longitude in degrees, 15 per hour.

    A moment without a time of day is a date already: 2024-05-01 is that day at every longitude.
    """
    if moment.time() == time.min:
        return moment.date()
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    return (moment.replace(tzinfo=None) + timedelta(hours=longitude / 15)).date()
