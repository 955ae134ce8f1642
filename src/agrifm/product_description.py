"""A product described in the project file, as `[imagery.product]`: keys, types and defaults.

`agrifm.scene.described_products` makes a product of it, by the same rules as those that agrifm knows.
"""

import re
from math import isnan
from typing import Any, Literal, Self

from pydantic import Field, field_serializer, field_validator, model_validator

from agrifm.sensors import Quantity
from agrifm.validation import Frozen

NANOMETRES = {"nm": 1.0, "um": 1e3, "µm": 1e3, "μm": 1e3, "mm": 1e6, "cm": 1e7, "m": 1e9}
"""Nanometres per unit in which a wavelength may be written; both signs for micro are in use."""


class BandDescription(Frozen):
    """One band of the files."""

    name: str = Field(min_length=1)
    """Name of the band; indices such as NDVI find those with STAC's names (blue, green, red, nir, swir16 ...)."""
    wavelength: float | None = Field(None, ge=100)
    """Centre of the band in nanometres, or as text with a unit, such as "0.49 µm"; known for a known sensor, and none
    for an index."""

    @field_validator("wavelength", mode="before")
    @classmethod
    def _wavelength_with_its_unit(cls, stated: object) -> object:
        if not isinstance(stated, str):
            return stated
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([a-zµμ]+)", stated.strip())
        if match is None or match[2] not in NANOMETRES:
            raise ValueError(f"{stated!r} is not a wavelength; give nanometres, or a unit: {', '.join(NANOMETRES)}")
        return float(match[1]) * NANOMETRES[match[2]]


class QualityDescription(Frozen):
    """The quality band of a product, and what its numbers mean."""

    band: str = Field(min_length=1)
    """Name of the quality band in the files."""
    rule: str | None = None
    """A rule that agrifm knows, such as "scl" or "landsat_qa_pixel"; or instead of it `values` or `bits`."""
    values: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    """Flag -> the values that mean it, such as cloud = [8, 9]. With "usable", all values that are not listed are
    defective; without, they are usable."""
    bits: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    """Flag -> the bits that mean it, from 0, such as cloud = [3]."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.rule is None) == (not self.values and not self.bits):
            raise ValueError("give either `rule`, or `values` and `bits` of its flags")
        return self


class ProductDescription(Frozen):
    """A product that the project describes."""

    name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name under which [[imagery.files]] and `products` use it."""
    like: str | None = None
    """A known product from which everything is taken that is not given here."""
    sensor: str | None = None
    """A sensor that agrifm knows, such as "sentinel-2"; or with `bands` the name of another."""
    bands: tuple[BandDescription, ...] = ()
    """The bands of a sensor that agrifm does not know, in spectral order; of a known one, those that the files have."""
    resolution: int | None = Field(None, gt=0)
    """Side in metres of the cube's pixels, a divisor of 480; for a sensor that agrifm does not know."""
    assets: dict[str, str] = Field(default_factory=dict)
    """Band -> its name in the files, if that is another: a word of the file's name, a band description, a variable of a
    NetCDF file, an asset of a STAC item."""
    stack: tuple[str, ...] = ()
    """Names of the bands of a file that holds several without descriptions, in its order."""
    scale: float | None = Field(None, strict=True)
    """The unit of the quantity is number * scale + offset; 1 for reflectance from 0 to 1, 0.0001 for 0 to 10000."""
    offset: float | None = Field(None, strict=True, allow_inf_nan=False)
    """By default 0, or that of the product in `like`."""
    nodata: float | None = Field(None, allow_inf_nan=True)
    """The number that means nodata; nan for files that hold it."""
    valid_range: tuple[float, float] | None = None
    """Least and largest valid number in the files; others mean nodata."""
    quantity: Quantity | None = None
    """What the numbers are; by default surface reflectance."""
    quality: QualityDescription | None = None
    """The quality band; without it, no clouds are masked."""
    kernel: Literal["bilinear", "nearest"] | None = None
    """How bands are resampled; backscatter in decibel needs "nearest"."""
    collection: str | None = None
    """STAC collection of its items, "" for items without one."""
    file_name: str | None = None
    """Regular expression for the path of a file, with the named groups (?P<date>...) and if they occur band, tile,
    satellite, resolution, version and part; by default, the names that products of the sensor have."""

    @field_validator("nodata", mode="before")
    @classmethod
    def _number_or_nan(cls, stated: object) -> object:
        if isinstance(stated, bool) or (isinstance(stated, str) and stated.lower() != "nan"):
            raise ValueError(f"{stated!r} is not a number; give the number that means nodata, or nan")
        return stated

    @field_serializer("nodata", when_used="json")
    def _nan_as_text(self, nodata: float | None) -> float | str | None:
        """JSON has no NaN."""
        return "nan" if nodata is not None and isnan(nodata) else nodata

    @property
    def recorded(self) -> dict[str, Any]:
        """The keys that were given, as JSON has them."""
        return self.model_dump(mode="json", exclude_unset=True)
