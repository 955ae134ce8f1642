"""What the land of a region looks like, in a few numbers, and where the region is."""

from typing import Self

from pydantic import Field, model_validator

from agrifm.validation import Frozen


class Place(Frozen):
    """Where a region is."""

    crs: str = Field(pattern="^EPSG:32[67][0-9][0-9]$")
    """UTM zone of all coordinates, as an EPSG code."""
    lon: float = Field(ge=-180, le=180)
    """Longitude of the centre of simulated areas, degrees."""
    lat: float = Field(ge=-80, le=84)
    """Latitude of the centre of simulated areas, degrees."""
    latitudes: tuple[float, float]
    """Southern and northern end of the region, degrees; single parcels are drawn from between them."""


class LandShape(Frozen):
    """The look of the land; a landscape cell is the land between four roads."""

    cell: float = Field(ge=500, le=5000)
    """Side of a landscape cell, metres."""
    irregularity: float = Field(ge=0, le=1)
    """0 = cells are squares, 1 = their corners lie up to a quarter of a side off, and rows of cells wind."""
    bend: float = Field(ge=0, le=0.1)
    """How far roads and borders swing out, as a share of their length."""
    paved: float = Field(ge=0, le=1)
    """Share of the cells' edges that are paved roads; most others are tracks."""
    parcel_median: float = Field(gt=0)
    """Median area of the parcels, hectares."""
    parcel_spread: float = Field(gt=0, le=1.5)
    """Standard deviation of the logarithm of their areas."""
    parcel_least: float = Field(gt=0)
    """Area of the smallest parcels, hectares."""
    parcel_most: float = Field(gt=0)
    """Area of the largest parcels, hectares."""
    elongation: float = Field(ge=1.5, le=4)
    """About the median ratio of a parcel's length to its width."""
    track_block: float = Field(gt=0)
    """Blocks of parcels of more hectares than this are divided by tracks."""
    hedges: float = Field(ge=0, le=1)
    """Share of the borders between parcels along which a hedge or a row of trees stands."""
    hedge_width: tuple[float, float]
    """Least and greatest width of hedges and tree rows, metres."""
    margins: float = Field(ge=0, le=1)
    """Share of the borders along which a strip of grass is left."""
    margin_width: tuple[float, float]
    """Least and greatest width of such strips, metres."""
    forest: float = Field(ge=0, le=0.8)
    """Share of the land under forest."""
    forest_size: float = Field(gt=0)
    """About how large forests and the open land between them are, metres."""
    villages: float = Field(ge=0, le=1)
    """Share of the cells' corners at which a village lies."""
    village_radius: tuple[float, float]
    """Least and greatest radius of villages, metres."""
    farms: float = Field(ge=0, le=1)
    """Share of the cells' edges at which a farmstead lies."""
    rivers: int = Field(ge=0)
    """Every so many rows of cells a river runs between two rows; 0 = none."""
    river_width: tuple[float, float]
    """Least and greatest width of rivers, metres."""
    gallery: float = Field(ge=0, le=150)
    """Width of the trees along each bank of a river, metres."""
    ponds: float = Field(ge=0, le=1)
    """Share of the cells with a pond."""
    pond_radius: tuple[float, float]
    """Least and greatest radius of ponds, metres."""

    @model_validator(mode="after")
    def _numbers_fit_together(self) -> Self:
        if not self.parcel_least < self.parcel_median < self.parcel_most:
            raise ValueError(
                f"parcels of {self.parcel_least:g} to {self.parcel_most:g} ha cannot have a median of "
                f"{self.parcel_median:g} ha"
            )
        if self.parcel_most * 1e4 > self.cell**2 / 2:
            raise ValueError(f"parcels of {self.parcel_most:g} ha are too large for cells of {self.cell:g} m")
        if max(*self.village_radius, *self.pond_radius) > self.cell / 4:
            raise ValueError(f"villages and ponds must have a radius of at most a quarter of `cell` ({self.cell:g} m)")
        if self.hedges + self.margins > 1:
            raise ValueError("`hedges` and `margins` are shares of the same borders and exceed 1 together")
        return self
