"""What three sensors see of the simulated ground, each on its own dates and grid, through one sky per day.

Everything is in reflectance and on pixel grids here; digital numbers and files are `simulate`'s. Coarser pixels are
area averages of the 10 m ground. Clouds are smoothed noise cut at a cover drawn for each day; their shadows lie a
fixed way to the north west. The haze between clouds, view and sun angles and a point spread are left out.
"""

from dataclasses import dataclass

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer

from agrifm.grid import Grid
from agrifm.scene.simulate_growth import CLOUD, Ground, Weights, mix, smooth_noise
from agrifm.scene.simulate_land import PIXEL
from agrifm.sensors import SENSORS

SINUSOIDAL = "+proj=sinu +lon_0=0 +x_0=0 +y_0=0 +R=6371007.181 +units=m +no_defs"
"""CRS of the MODIS land products: a sphere of 6371007.181 m."""
MODIS_PIXEL = 463.3127165
MODIS_CORNER = (-20015109.354, 10007554.677)
"""Upper left corner of the global sinusoidal grid, metres."""
COMPLETE = 0.98
"""A MODIS pixel is seen where so much of it lies on the simulated ground; else it is fill."""

SKY_PIXEL = 60
SKY_MARGIN = 600
"""Sky drawn beyond the ground, metres: where shadows come from."""
SHADOW_SHIFT = (-360, -240)
"""Where the shadow of a cloud falls: metres to the south (so north) and to the east (so west)."""
SHADOW_DEPTH = 0.55
"""Light that the shadow of an opaque cloud takes away."""
SOFTNESS = 0.45
"""How much the noise rises from a cloud's edge to where it is opaque, in deviations."""
CLEAR_DAYS, OVERCAST_DAYS = 0.28, 0.28
"""Shares of days with hardly a cloud (0 to 8 % cover) and with nothing else; the rest has 10 to 90 % cover."""

RELATIVE_NOISE, ABSOLUTE_NOISE = 0.012, 0.002
"""Deviation of the noise of a pixel: relative to its reflectance, and of reflectance."""
SCENE_GAIN = 0.01
"""Deviation of the gain of a band in one scene, as an atmospheric correction leaves behind."""
CLOUD_SEEN, CIRRUS_SEEN, SHADOW_SEEN = 0.3, 0.12, 0.3
"""Opacity from which a perfect mask would mark a pixel."""
MASK_ERROR = 0.1
"""Deviation of the masks' error in opacity: it omits and adds pixels at the edges of clouds."""

Plane = NDArray[np.float32]


@dataclass(frozen=True)
class Sky:
    """Opacity of clouds and of their shadows over the ground, (rows, columns) at 10 m.

    Not cut at 0 and 1: below 0 is clear, above 1 opaque; how far beyond says how near an edge is.
    """

    cloud: Plane
    shadow: Plane

    @classmethod
    def draw(cls, grid: Grid, seed: int, day: int) -> "Sky":
        """The sky of a day (since 1970-01-01), the same for every sensor."""
        rng = np.random.default_rng([seed, 5, day])
        kind = rng.random()
        if kind < CLEAR_DAYS:
            cover = rng.uniform(0, 0.08)
        else:
            cover = 1.0 if kind < CLEAR_DAYS + OVERCAST_DAYS else rng.uniform(0.1, 0.9)
        rows, cols = (-(-(side * PIXEL + 2 * SKY_MARGIN) // SKY_PIXEL) + 1 for side in grid.shape)
        noise = smooth_noise(rng, rows, cols, 18) + 0.5 * smooth_noise(rng, rows, cols, 6)
        edge = float(np.quantile(noise, 1 - cover)) if cover < 1 else float(noise.min()) - 1.5 * SOFTNESS
        opacity = np.asarray((noise - edge) / SOFTNESS, np.float32)
        south, east = SHADOW_SHIFT
        return cls(_over_ground(opacity, grid, 0, 0), _over_ground(opacity, grid, -south, -east))


def _over_ground(sky: Plane, grid: Grid, south: int, east: int) -> Plane:
    """Sky cells, interpolated linearly to the ground's pixels, seen from `south` and `east` metres beside them."""
    planes = sky
    for axis, offset in enumerate((south, east)):
        centres = np.arange(grid.shape[axis]) * PIXEL + PIXEL / 2 + SKY_MARGIN + offset
        place = centres / SKY_PIXEL
        first = np.floor(place).astype(int)
        share = (place - first).astype(np.float32).reshape((-1, 1) if axis == 0 else (1, -1))
        planes = planes.take(first, axis) * (1 - share) + planes.take(first + 1, axis) * share
    return planes


@dataclass(frozen=True)
class View:
    """What a sensor sees of the whole ground on its grid: reflectance per band, and opacities (not cut)."""

    grid: Grid
    reflectance: NDArray[np.float32]
    """(bands in the sensor's order, rows, columns)."""
    cloud: Plane
    shadow: Plane


def under_sky(weights: Weights, sky: Sky) -> Weights:
    """Weights of what is seen from above: the ground in the clouds' shadow, and the clouds."""
    cloud, shadow = np.clip(sky.cloud, 0, 1), np.clip(sky.shadow, 0, 1)
    seen = weights * ((1 - cloud) * (1 - SHADOW_DEPTH * shadow))
    # Thicker clouds are brighter: 0.85 of the tabled spectrum at the least, 1.15 at the most.
    seen[CLOUD] = cloud * np.clip(0.85 + 0.05 * sky.cloud, 0.85, 1.15)
    return seen


def coarser(planes: NDArray[np.float32], ratio: int) -> NDArray[np.float32]:
    """Averages over squares of `ratio` x `ratio` pixels, (..., rows / ratio, columns / ratio)."""
    *rest, rows, cols = planes.shape
    squares = planes.reshape(*rest, rows // ratio, ratio, cols // ratio, ratio)
    return np.asarray(squares.mean((-3, -1), dtype=np.float32), np.float32)


def sentinel_2(ground: Ground, day: int) -> tuple[View, View]:
    """Views at 10 m (B02 B03 B04 B08) and at 20 m (the six other bands) of one overpass."""
    rng = np.random.default_rng([ground.seed, 6, day])
    sky = Sky.draw(ground.land.grid, ground.seed, day)
    seen = under_sky(ground.weights(day), sky)
    views = []
    for ratio, metres in ((1, 10), (2, 20)):
        bands = [band for band in SENSORS["sentinel-2"].bands if band.ground_sampling_distance == metres]
        reflectance = noisy(mix(coarser(seen, ratio), [band.wavelength for band in bands]), rng)
        grid = ground.land.grid.at(metres)
        views.append(View(grid, reflectance, coarser(sky.cloud, ratio), coarser(sky.shadow, ratio)))
    return views[0], views[1]


def landsat(ground: Ground, day: int) -> View:
    """The view at 30 m; pixel corners lie 15 m off multiples of 30, as those of real scenes."""
    rng = np.random.default_rng([ground.seed, 7, day])
    grid = ground.land.grid
    sky = Sky.draw(grid, ground.seed, day)

    def to_30m(planes: NDArray[np.float32]) -> NDArray[np.float32]:
        return coarser(planes.repeat(2, -2).repeat(2, -1)[..., 3:-3, 3:-3], 6)

    seen = to_30m(under_sky(ground.weights(day), sky))
    left, _, _, top = grid.bounds
    assert left % 30 == top % 30 == 0, "the ground must lie on multiples of 30 m"
    transform = Affine(30, 0, left + 15, 0, -30, top - 15)
    reflectance = noisy(mix(seen, [band.wavelength for band in SENSORS["landsat"].bands]), rng)
    own = Grid.of(str(grid.crs), transform, (reflectance.shape[1], reflectance.shape[2]))
    return View(own, reflectance, to_30m(sky.cloud), to_30m(sky.shadow))


@dataclass(frozen=True)
class SinusoidalGrid:
    """MODIS pixels over the ground, and which of them each 10 m pixel lies in."""

    transform: Affine
    shape: tuple[int, int]
    inside: NDArray[np.intp]
    """Row-major number of the MODIS pixel of each 10 m pixel, (10 m pixels,)."""
    complete: NDArray[np.bool_]
    """MODIS pixels that lie on the ground, (rows, columns)."""

    @classmethod
    def over(cls, grid: Grid) -> "SinusoidalGrid":
        """The pixels of the global sinusoidal grid over a 10 m UTM grid."""
        x, y = np.meshgrid(grid.x, grid.y)
        x, y = Transformer.from_crs(str(grid.crs), SINUSOIDAL, always_xy=True).transform(x.ravel(), y.ravel())
        col = np.floor((x - MODIS_CORNER[0]) / MODIS_PIXEL).astype(np.intp)
        row = np.floor((MODIS_CORNER[1] - y) / MODIS_PIXEL).astype(np.intp)
        shape = (int(np.ptp(row)) + 1, int(np.ptp(col)) + 1)
        inside = (row - row.min()) * shape[1] + col - col.min()
        share = np.bincount(inside, minlength=shape[0] * shape[1]) * (PIXEL / MODIS_PIXEL) ** 2
        left = MODIS_CORNER[0] + int(col.min()) * MODIS_PIXEL
        top = MODIS_CORNER[1] - int(row.min()) * MODIS_PIXEL
        transform = Affine(MODIS_PIXEL, 0, left, 0, -MODIS_PIXEL, top)
        return cls(transform, shape, inside, (share >= COMPLETE).reshape(shape))

    def average(self, plane: Plane) -> NDArray[np.float64]:
        """Average of a 10 m plane over each MODIS pixel, (rows, columns)."""
        size = self.shape[0] * self.shape[1]
        total = np.bincount(self.inside, plane.ravel(), size)
        count = np.bincount(self.inside, minlength=size)
        return np.asarray((total / np.maximum(count, 1)).reshape(self.shape))


@dataclass(frozen=True)
class Composite:
    """The best day of a period for each MODIS pixel; all arrays (rows, columns) but `reflectance`."""

    reflectance: NDArray[np.float32]
    """(bands in the sensor's order, rows, columns)."""
    day: NDArray[np.int32]
    """Day that was chosen, since 1970-01-01."""
    cloud: NDArray[np.float64]
    """Share of the pixel under cloud on that day, 0 to 1."""
    shadow: NDArray[np.float64]
    water: NDArray[np.float64]
    """Share of the pixel that is water, 0 to 1."""


def modis(ground: Ground, own: SinusoidalGrid, days: range) -> Composite:
    """The composite of a period: each pixel from the day with the least cloud and shadow over it.

    Among equally clear days chance decides, as the view angle does in reality.
    """
    rng = np.random.default_rng([ground.seed, 8, days[0]])
    skies = [Sky.draw(ground.land.grid, ground.seed, day) for day in days]
    cloud, shadow = (
        np.array([own.average(np.clip(getattr(sky, what), 0, 1)) for sky in skies]) for what in ("cloud", "shadow")
    )
    chosen = np.argmin(cloud + 0.5 * shadow + rng.uniform(0, 0.02, cloud.shape), axis=0)
    reflectance = np.zeros((len(SENSORS["modis"].bands), *own.shape), np.float32)
    for index, day in enumerate(days):
        here = chosen == index
        if here.any():
            seen = under_sky(ground.weights(day), skies[index])
            averages = np.array([own.average(plane) for plane in seen], np.float32)
            mixed = mix(averages, [band.wavelength for band in SENSORS["modis"].bands])
            reflectance[:, here] = mixed[:, here]
    best = chosen[None]
    return Composite(
        noisy(reflectance, rng),
        (days[0] + chosen).astype(np.int32),
        np.take_along_axis(cloud, best, 0)[0],
        np.take_along_axis(shadow, best, 0)[0],
        own.average((ground.land.field == 0).astype(np.float32)),
    )


def noisy(reflectance: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Reflectance with a gain of the scene's own per band, and noise per pixel; (bands, rows, columns)."""
    gain = 1 + SCENE_GAIN * rng.standard_normal((len(reflectance), 1, 1), np.float32)
    noise = rng.standard_normal(reflectance.shape, np.float32)
    return np.asarray(reflectance * gain + noise * (RELATIVE_NOISE * reflectance + ABSOLUTE_NOISE), np.float32)


def masks(view: View, rng: np.random.Generator) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Where a provider's mask says cloud, cirrus and shadow, exclusive of each other; wrong at some edges."""
    error = MASK_ERROR * smooth_noise(rng, *view.grid.shape, 2)
    cloud = view.cloud + error > CLOUD_SEEN
    cirrus = (view.cloud + error > CIRRUS_SEEN) & ~cloud
    shadow = (view.shadow - error > SHADOW_SEEN) & ~cloud & ~cirrus
    return cloud, cirrus, shadow
