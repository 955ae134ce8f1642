"""Forests, ponds, villages and farmsteads as polygons of each landscape cell."""

from dataclasses import dataclass

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import shapes as polygons_of
from scipy.special import ndtri
from shapely.geometry import shape as geometry

from agrifm.simulator.keyed_random import normal, smooth_noise, uniform
from agrifm.simulator.land.landscape import Indices, Landscape, Numbers, RoadNetwork, Shapes

FOREST_STEP = 20.0
"""Metres between the points at which the noise of the forest is computed."""
FOREST_CORNER = (3.719, 8.183)
"""Coordinates of one of these points; chosen so that an outline never passes through the middle of a pixel."""
FRINGE = 0.35
"""Standard deviation of the fine noise that frays a forest's outline, relative to the coarse noise."""
MIN_FOREST_AREA = 5000.0
"""Square metres: smaller groves are removed."""
CORNERS = 20
"""Corners of the outline of a pond or a village."""
ROUGHNESS = 0.18
"""Deviation of these outlines from a circle, relative to the radius."""
FARM_RADIUS = (25.0, 60.0)
"""Minimum and maximum radius of farmsteads, metres."""
STREET, BLOCK, LOT = 7.0, (70.0, 120.0), 16.0
"""Width of village streets, distance between them in both directions, side of a lot; metres."""
HOUSE = 11.0
"""Side of a house, metres."""
BUILT, WOODED = 0.62, 0.85
"""Share of the lots with a house; share with a house or a lawn. The other lots are under trees."""

GARDEN, HOUSES, TREES, STREETS = range(4)
"""Ground of villages."""


@dataclass(frozen=True)
class Villages:
    """Villages and farmsteads, each with the row and column of its cell; arrays (villages,)."""

    outline: Shapes
    row: Indices
    col: Indices


def forests(landscape: Landscape, seed: int, network: RoadNetwork) -> Shapes:
    """The forest of each cell, one shape (cells,): the area of high smooth noise; cells agree on common parts."""
    woods = np.full(len(network.row), shapely.Polygon(), object)
    if landscape.forest == 0:
        return woods
    level = float(ndtri(1 - landscape.forest)) * np.hypot(1, FRINGE)
    for cell, (left, bottom, right, top) in enumerate(shapely.bounds(network.whole)):
        east, north = FOREST_CORNER
        x = east + FOREST_STEP * np.arange(np.floor(left / FOREST_STEP) - 2, np.ceil(right / FOREST_STEP) + 3)
        y = north + FOREST_STEP * np.arange(np.ceil(top / FOREST_STEP) + 2, np.floor(bottom / FOREST_STEP) - 3, -1)
        noise = smooth_noise(seed, "forest", x[None], y[:, None], landscape.forest_size / 2)
        if noise.max() < level - 4 * FRINGE:
            continue  # no forest in this cell, whatever the fine noise adds
        wooded = noise + FRINGE * smooth_noise(seed, "fringe of the forest", x[None], y[:, None], 90) > level
        corner = Affine(FOREST_STEP, 0, x[0] - FOREST_STEP / 2, 0, -FOREST_STEP, y[0] + FOREST_STEP / 2)
        parts = [geometry(part) for part, _ in polygons_of(wooded.astype(np.uint8), wooded, transform=corner)]
        # Remove the steps of the raster from the outlines.
        smooth = shapely.simplify(np.array(parts, object), 0.8 * FOREST_STEP)
        woods[cell] = shapely.union_all(smooth[shapely.area(smooth) >= MIN_FOREST_AREA])
    return woods


def ponds(landscape: Landscape, seed: int, network: RoadNetwork) -> Shapes:
    """The pond of each cell (cells,), near the middle of the cell; an empty polygon for cells without a pond."""
    keys = network.row, network.col
    centre = shapely.get_coordinates(shapely.centroid(network.whole))
    off = np.stack([uniform(seed, f"place of the pond {axis}", *keys) - 0.5 for axis in "xy"], axis=1)
    least, most = landscape.pond_radius
    radius = least * (most / least) ** uniform(seed, "radius of the pond", *keys)
    outline = _blobs(centre + 0.4 * landscape.cell * off, radius, seed, "outline of the pond", *keys)
    outline[uniform(seed, "pond", *keys) >= landscape.ponds] = shapely.Polygon()
    return outline


def villages(landscape: Landscape, seed: int, network: RoadNetwork) -> Villages:
    """Draw villages around the cells' corners, and farmsteads next to the roads along their edges."""
    edges = network.edges
    begin, end = (shapely.get_coordinates(shapely.get_point(edges.line, point)) for point in (0, -1))
    row, col = np.concatenate([edges.row, edges.row + edges.up]), np.concatenate([edges.col, edges.col + ~edges.up])
    _, once = np.unique(np.stack([row, col]), axis=1, return_index=True)
    row, col, corner = row[once], col[once], np.concatenate([begin, end])[once]
    here = uniform(seed, "village", row, col) < landscape.villages
    at_corners = row[here], col[here]
    least, most = landscape.village_radius
    radius = least * (most / least) ** uniform(seed, "radius of the village", *at_corners)
    outline = _blobs(corner[here], radius, seed, "outline of the village", *at_corners)

    keys = edges.row, edges.col, edges.up
    here = (edges.road > 0) & (uniform(seed, "farm", *keys) < landscape.farms)
    farm_keys = tuple(key[here] for key in keys)
    along = 0.2 + 0.6 * uniform(seed, "place of the farm", *farm_keys)
    point, next_place = (
        shapely.get_coordinates(shapely.line_interpolate_point(edges.line[here], along + step, normalized=True))
        for step in (0, 0.01)
    )
    ahead = (next_place - point) / np.hypot(*(next_place - point).T)[:, None]
    least, most = FARM_RADIUS
    radius = least + (most - least) * uniform(seed, "radius of the farm", *farm_keys)
    side = np.where(uniform(seed, "side of the farm", *farm_keys) < 0.5, 1, -1) * (edges.reach[here] + 0.8 * radius)
    centre = point + np.stack([-ahead[:, 1], ahead[:, 0]], axis=1) * side[:, None]
    farms = _blobs(centre, radius, seed, "outline of the farm", *farm_keys)
    rows, cols = (np.concatenate([at, by]) for at, by in zip(at_corners, farm_keys[:2], strict=True))
    return Villages(np.concatenate([outline, farms]), rows, cols)


def village_ground(seed: int, turn: float, x: Numbers, y: Numbers) -> NDArray[np.int64]:
    """Ground at points in villages: `GARDEN`, `HOUSES`, `TREES` or `STREETS`.

    Args:
        turn: angle between the streets and the x axis, radians.
        x, y: metres, any shape.
    """
    along, over = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    chance = uniform(seed, "lot", np.floor(along / LOT).astype(np.int64), np.floor(over / LOT).astype(np.int64))
    house = (chance < BUILT) & (along % LOT < HOUSE) & (over % LOT < HOUSE)
    ground = np.where(house, HOUSES, np.where(chance > WOODED, TREES, GARDEN))
    return np.where((along % BLOCK[0] < STREET) | (over % BLOCK[1] < STREET), STREETS, ground)


def _blobs(centre: Numbers, radius: Numbers, seed: int, purpose: str, *keys: NDArray[np.generic]) -> Shapes:
    """Irregular round outlines around centres."""
    angle = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    distance = np.ones((len(radius), CORNERS))
    for wave in (2, 3, 4):
        for number, shift in enumerate((0, np.pi / 2)):
            size = np.clip(normal(seed, purpose, *keys, wave, number), -2, 2)
            distance += ROUGHNESS * 2 / wave * size[:, None] * np.sin(wave * angle + shift)
    distance = np.clip(distance, 0.5, 1.5) * radius[:, None]
    points = centre[:, None] + distance[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return np.asarray(shapely.polygons(points), object)
