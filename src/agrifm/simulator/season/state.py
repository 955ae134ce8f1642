"""What fields show on one day: the agreement between growth, which makes it, and optics, which turns it into light."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

PLANTS, WATER, ROAD, ROOFS = range(4)
"""Materials of a cover: soil with or without plants; open water; asphalt and gravel; settlements."""

Numbers = NDArray[np.float32]


@dataclass(frozen=True)
class State:
    """Fields on one day; every array (fields,), float32 but for `material`."""

    material: NDArray[np.int8]
    """`PLANTS`, `WATER`, `ROAD` or `ROOFS`; what follows counts for `PLANTS` only."""
    green_area: Numbers
    """Green leaves and stems, m2 per m2 of ground, one side."""
    brown_area: Numbers
    """Dead leaves and stems that still stand, m2 per m2."""
    chlorophyll: Numbers
    """Chlorophyll a + b of the green leaves, micrograms per cm2 of leaf."""
    leaf_water: Numbers
    """Equivalent water thickness of the green leaves, cm."""
    leaf_dry_matter: Numbers
    """Dry matter of the leaves, g per cm2."""
    leaf_structure: Numbers
    """Leaf structure parameter N of PROSPECT, layers: about 1.2 (cereals) to 2.2."""
    leaf_projection: Numbers
    """Projection of leaves towards the zenith, G(0): 0.5 spherical, less where leaves stand, more where they lie."""
    clumping: Numbers
    """Clumping index: 1 = leaves at random, less where rows or crowns leave gaps."""
    flower: Numbers
    """Share of the ground seen from above that is covered by yellow flowers, 0..1."""
    residue: Numbers
    """Share of the soil covered by dead plant residue, 0..1."""
    flood: Numbers
    """Share of the soil under standing water, 0..1."""
    moisture: Numbers
    """Moisture of the soil's surface, 0 (air-dry) .. 1 (saturated)."""
    soil_brightness: Numbers
    """Factor on the reflectance of the dry soil, 1 = the tabled spectrum."""

    def take(self, index: NDArray[Any]) -> "State":
        """The state of some fields, or of fields repeated."""
        return State(**{field.name: getattr(self, field.name)[index] for field in fields(self)})
