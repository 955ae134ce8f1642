"""The section [imagery] of the project file: which scenes become the cube."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from agrifm.product_description import ProductDescription
from agrifm.validation import Frozen

ResampleMethod = Literal["median", "medoid", "nearest", "linear", "smooth", "fill"]
"""What `cube.resample` computes from the series of a sensor."""

MissingChoice = Literal["stop", "skip"]
"""What to do at the end about scenes that failed for good: stop, with all of them named, or leave them out."""


class FilesConfig(Frozen):
    """Local files, read as one product."""

    product: str
    """Name of the product, which defines how the numbers are encoded."""
    pattern: str
    """Glob pattern of GeoTIFF, JPEG 2000 or NetCDF files, under the names that their providers give them or with a date
    (or a folder whose name is the date) and a band in their names."""
    baseline: str | None = None
    """Processing baseline of the files, such as "05.10", for products whose offset depends on it; if their names state
    theirs, the two must agree."""

    @field_validator("baseline", mode="before")
    @classmethod
    def _baseline_as_written(cls, baseline: object) -> object:
        """A number is text as well; `scene.encoding` reads it by its form."""
        return str(baseline) if isinstance(baseline, int | float) and not isinstance(baseline, bool) else baseline


class ImageryConfig(Frozen):
    """Which scenes become the cube."""

    provider: str | None = None
    """The provider to search, such as "earth-search"."""
    catalog: str | None = None
    """Instead of a provider, a path or URL: a static STAC catalogue (catalog.json), a STAC API, an item collection such
    as the scenes.json of an earlier fetch, or a stac-geoparquet file."""
    files: tuple[FilesConfig, ...] = ()
    """Local files, as [[imagery.files]] tables."""
    product: tuple[ProductDescription, ...] = ()
    """Products that agrifm does not know, as an [imagery.product] table or several [[imagery.product]] tables."""
    products: tuple[str, ...] = ()
    """Products to fetch, such as "sentinel-2-c1-l2a"; the first one's sensor comes first in the cube."""
    cloud: float | None = Field(None, ge=0, le=100)
    """Highest cloud cover of a scene in its STAC item, percent; scenes without that property are kept."""
    skip: tuple[str, ...] = ()
    """Ids of scenes to leave out; they are counted and named."""
    reach: tuple[str, ...] = ()
    """Folders and hosts, such as "/data/images" and "minio.local", that `catalog` may lead to although they are outside
    its folder, or in a private network."""
    missing: MissingChoice = "stop"
    """If items or files cannot become scenes, or scenes fail for good: stop, with all of them named, or leave them out
    ("skip"), counted and named, with their pixels not valid; the next fetch asks for them again."""
    native_grid: bool = False
    """Keep the grid of the files instead of the area's UTM zone (one sensor only)."""
    offset: Literal["refuse", "metadata", "pixels"] = "refuse"
    """If metadata and dark pixels of a Sentinel-2 scene disagree on its offset: stop, or which of the two to trust."""
    without_quality: Literal["refuse", "keep"] = "refuse"
    """What to do with scenes that lack their quality band: stop, or keep all their pixels, clouds included."""
    masked: tuple[str, ...] = ("cloud", "cloud-edge", "cirrus", "shadow", "dark", "snow")
    """Flags of the quality bands that mask a pixel; add "water" or remove "snow" as the task requires."""
    dilate: float = Field(0.0, ge=0)
    """Metres around masked clouds, cirrus and shadows that are masked too, for every sensor."""
    masks: tuple[str, ...] = ()
    """Additional masks from plug-ins: entry points of the group `agrifm.masks` in installed packages."""
    resample: ResampleMethod | None = None
    """Train and map on a cube on other dates, one frame for each of the `frames` periods of [model]: composites
    ("median", "medoid", "nearest" the middle), or values at the middles ("linear", "smooth"); or all frames with their
    gaps filled ("fill")."""

    @field_validator("product", mode="before")
    @classmethod
    def _one_or_several(cls, tables: object) -> object:
        if isinstance(tables, dict):
            return (tables,)
        if not isinstance(tables, list | tuple) or not all(isinstance(table, dict) for table in tables):
            raise ValueError("a table [imagery.product] describes a product; names of products to fetch are `products`")
        return tables

    @model_validator(mode="after")
    def _some_source(self) -> Self:
        searched = self.provider or self.catalog
        if self.provider and self.catalog:
            raise ValueError("`provider` and `catalog` both name a source of scenes; remove one of them")
        if searched and not self.products:
            raise ValueError("`products` is empty; name the products to take from the catalogue")
        if not searched and self.products:
            raise ValueError(
                "`products` need a catalogue; give `provider` or `catalog`, or [[imagery.files]] instead of `products`"
            )
        return self

    @property
    def has_source(self) -> bool:
        """Whether there is somewhere to take scenes from."""
        return bool(self.provider or self.catalog or self.files)
