"""How unlike its training data each pixel of a map is, and where that is beyond what the model was checked for.

    map/dissimilarity.tif   dissimilarity index in percent (at most 254, which means more too), 255 = nodata
    map/applicability.tif   0 inside the area of applicability, 1 outside, 255 = nodata; colours, names, legend inside

`agrifm.inference.training_reference` has the index and its source.

Shape letters: H rows, W columns, N training pixels.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.features import pixel_features
from agrifm.cube.store import Cube
from agrifm.grid import LONLAT, Window
from agrifm.inference.training_reference import FARTHEST_MAPPED, REFERENCE, TrainingReference, nearest_distances
from agrifm.legend import UNLABELLED, Legend
from agrifm.mapping.category_layer import CategoryLayer, LayerStatement, RasterLayer
from agrifm.mapping.cog import CogWriter
from agrifm.mapping.raster_styles import describe_numbers
from agrifm.mapping.windows import MapPlan
from agrifm.record import ModelRecord
from agrifm.samples.patches import read_patch
from agrifm.samples.sample import Sample
from agrifm.stac import MapLayer, classifications

DISSIMILARITY_FILE, APPLICABILITY_FILE = "dissimilarity.tif", "applicability.tif"
AREAS = Legend.of(
    ["inside", "outside"],
    {"inside": "Like the training data", "outside": "Unlike the training data"},
    {"inside": "#0077bb", "outside": "#ee7733"},
)
EARTH_KM = 6371.0
"""Mean radius of the Earth."""
PLACES = 30
"""Places along each side of a map at which the distance to the training data is taken."""


def why_without_dissimilarity(cube: Cube, record: ModelRecord, reference: TrainingReference | None) -> str | None:
    """Return why a map has no layer of dissimilarity, in words; None if it has one."""
    begin = "there is no layer of dissimilarity, because"
    if reference is None:
        return f"{begin} the model has no `{REFERENCE}` next to it (`agrifm train` writes it, from three blocks on)"
    unlike = reference.why_unlike(record)
    if unlike is not None:
        return f"{begin} `{REFERENCE}` next to the model is of another training ({unlike}); train again"
    for sensor in reference.facts.sensors:
        found = cube.inputs.get(sensor.sensor)
        lacking = [sensor.sensor] if found is None else [one for one in sensor.bands if one not in found.bands]
        if lacking:
            return f"{begin} the cube has no {lacking[0]}, by which the training data are compared"
    return None


def window_dissimilarity(
    cube: Cube,
    reference: TrainingReference,
    window: Window,
    samples: Sequence[Sample],
    records: Sequence[ModelRecord],
) -> NDArray[np.float16]:
    """Return the index (H, W) of the pixels of a window, NaN where there is no valid observation.

    Args:
        samples: what the model's members read of the window; one that is as the reference's is not read again.
        records: of the members.
    """
    facts = reference.facts
    alike = (
        sample
        for sample, record in zip(samples, records, strict=True)
        if (record.series, record.frames) == ("interpolated", facts.frames)
        and [(one.sensor, one.bands) for one in record.sensors] == [(one.sensor, one.bands) for one in facts.sensors]
    )
    sample = next(alike, None) or read_patch(cube, window, facts.sensors, cube.season.steps(facts.frames))
    inside = window.within(sample.window).slices
    where = np.zeros(sample.label.shape, bool)
    where[inside] = sample.any_valid[inside]
    rows = pixel_features(sample, where, facts.sensors, facts.parts, cube.season.days)
    found = np.full(where.shape, np.nan)
    found[where] = np.minimum(reference.dissimilarity(rows), FARTHEST_MAPPED)
    return found[inside].astype(np.float16)


class DissimilarityLayer(RasterLayer):
    """Writes both rasters tile by tile; used like `CogWriter`."""

    def __init__(self, directory: Path, plan: MapPlan, reference: TrainingReference, tags: Mapping[str, str]) -> None:
        """Begin the layer.

        Args:
            directory: of the map.
            tags: of both files.
        """
        self._plan, self._reference = plan, reference
        self._most = 100 * reference.facts.threshold
        about = {**tags, "AGRIFM_THRESHOLD": f"{self._most:.2f}"}
        title = "dissimilarity index in percent"
        self._index = CogWriter(directory / DISSIMILARITY_FILE, plan.grid, title, about, "AVERAGE")
        self._areas = CategoryLayer(directory / APPLICABILITY_FILE, plan.grid, "area of applicability", AREAS, about)
        super().__init__(self._index, self._areas)

    def write(self, tile: Window, index: NDArray[np.float64], known: NDArray[np.bool_]) -> None:
        """Write a tile.

        Args:
            index: (H, W), the dissimilarity index.
            known: (H, W), the pixels that have a class.
        """
        known = known & ~np.isnan(index)
        percent, area = np.full(known.shape, UNLABELLED, np.uint8), np.full(known.shape, UNLABELLED, np.uint8)
        percent[known] = np.rint(100 * index[known])
        area[known] = percent[known] > self._most
        self._index.write(tile, percent)
        self._areas.write(tile, area)

    def finish(self) -> LayerStatement:
        """Make both COGs; raises as `CogWriter.finish` does."""
        self._index.finish()
        describe_numbers(self._index.path, 0, 2 * self._most, " %")
        hectares = self._areas.finish()
        facts = self._reference.facts
        outside = float(hectares[1] / hectares.sum()) if hectares.any() else 0.0
        far = training_distance(self._plan, self._reference)
        reach = "" if far is None else f"; the map reaches {far:.1f} km from the nearest training place"
        return LayerStatement(
            f"{100 * outside:.1f} % of the mapped area are unlike the training data (dissimilarity above "
            f"{facts.threshold:.2f}), and the model was not checked for such land{reach}",
            {
                "agrifm:applicability": {
                    "outside_share": round(outside, 6),
                    "outside_hectares": round(float(hectares[1]), 4),
                    "threshold": round(facts.threshold, 6),
                    "training_pixels": len(self._reference.points),
                    "training_blocks": facts.blocks,
                    **({} if far is None else {"farthest_km": round(far, 3)}),
                }
            },
            (
                MapLayer(
                    DISSIMILARITY_FILE,
                    "Dissimilarity to the training data",
                    "Distance in features to the nearest training pixel, in percent of the mean distance of two "
                    f"training pixels (Meyer and Pebesma 2021); at most 254; {UNLABELLED} is nodata.",
                ),
                MapLayer(
                    APPLICABILITY_FILE,
                    "Area of applicability",
                    f"Whether the dissimilarity is above {self._most:.2f} percent, the upper whisker of training "
                    "pixels towards other blocks.",
                    classifications(AREAS),
                ),
            ),
        )


def training_distance(plan: MapPlan, reference: TrainingReference) -> float | None:
    """Return the distance of the place of the mapped area that is farthest from all training pixels, km.

    Places are the centres of a coarse grid; None where no training pixel states its place.
    """
    from pyproj import Transformer

    known = reference.lonlat[np.isfinite(reference.lonlat).all(axis=1)]
    grid = plan.grid
    steps = [np.unique(np.linspace(0, length - 1, PLACES).astype(int)) for length in grid.shape]
    row, col = (one.ravel() for one in np.meshgrid(*steps, indexing="ij"))
    pixels = (Window(int(one), int(other), 1, 1) for one, other in zip(row, col, strict=True))
    inside = np.array([plan.area.inside(pixel)[0, 0] for pixel in pixels])
    if not len(known) or not inside.any():
        return None
    transformer = Transformer.from_crs(str(grid.crs), LONLAT, always_xy=True)
    lon, lat = transformer.transform(grid.x[col[inside]], grid.y[row[inside]])
    chord = nearest_distances(_on_sphere(np.column_stack([lon, lat])), _on_sphere(known))
    return float(2 * EARTH_KM * np.arcsin(np.minimum(chord.max() / 2, 1)))


def _on_sphere(lonlat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (N, 3) of the unit sphere."""
    lon, lat = np.radians(lonlat).T
    return np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
