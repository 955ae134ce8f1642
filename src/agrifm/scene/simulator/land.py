"""The land of a simulated region."""

from pydantic import Field

from agrifm.config import Section


class Place(Section):
    """Where the region is."""

    crs: str = Field(pattern="^EPSG:32[67][0-9][0-9]$")
    """UTM zone of all coordinates, an EPSG code."""
    lon: float = Field(ge=-180, le=180)
    """Longitude of the centre of simulated areas, degrees."""
    lat: float = Field(ge=-80, le=84)
    """Latitude of the centre of simulated areas, degrees."""
    latitudes: tuple[float, float]
    """Southern and northern end of the region, degrees: where single parcels are drawn from."""


class LandShape(Section):
    """What the land looks like."""

    parcel_median: float = Field(gt=0)
    """Median area of the parcels, hectares."""
