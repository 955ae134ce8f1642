"""The grid of each sensor of a cube: nested in 480 m of the area's UTM zone, or that of the files."""

from collections.abc import Mapping, Sequence

from shapely.geometry.base import BaseGeometry

from agrifm.cube.frames import Frame, scenes_of
from agrifm.errors import CubeError, SceneError
from agrifm.grid import Grid, area_grid
from agrifm.scene.mask import MaskRule
from agrifm.scene.read import first_band, opened
from agrifm.scene.scene import ArrayAsset, Scene
from agrifm.scene.unusable import HOPELESS, one_error


def nested_grids(frames: Sequence[Frame], area: BaseGeometry, grid: Grid | None = None) -> dict[str, Grid]:
    """The grid of each sensor in the area's UTM zone, or on the ground of a given grid; all of them nest in 480 m."""
    base = grid or area_grid(area)
    return {frame.sensor: base.at(frame.scenes[0].product.resolution) for frame in frames}


def native_grids(frames: Sequence[Frame]) -> dict[str, Grid]:
    """The grid of the first band of the first scene that can be opened, by the name of its sensor.

    Raises:
        CubeError: there are several sensors, or the files are rotated.
        SceneError: no scene can be opened; all are named.
    """
    sensors = {frame.sensor for frame in frames}
    if len(sensors) > 1:
        raise CubeError(
            f"building a cube on the grid of its files: it has the sensors {', '.join(sorted(sensors))}, and a native "
            "grid holds one; leave out `native_grid`",
            sensors=sorted(sensors),
        )
    errors: dict[str, SceneError] = {}
    for scene in scenes_of(frames):
        try:
            return {scene.product.sensor: _native_grid(scene)}
        except SceneError as error:
            errors[scene.id] = error
        if len(errors) >= HOPELESS:
            break
    raise one_error(errors)


def _native_grid(scene: Scene) -> Grid:
    asset = scene.asset(*first_band(scene.product))
    if isinstance(asset, ArrayAsset):
        height, width = asset.pixels.shape
        return Grid.of(asset.crs, asset.transform, (height, width))
    with opened(scene, *first_band(scene.product)) as (source, about):
        crs, transform, shape = source.crs, source.transform, source.shape
    if transform.b or transform.d:
        raise CubeError(f"{about} is rotated, which a cube's grid cannot be; leave out `native_grid`")
    return Grid.of(crs.to_wkt(), transform, shape)


def require_metres(rule: MaskRule, grids: Mapping[str, Grid]) -> None:
    """Refuse to widen masks by metres on a grid in other units.

    Raises:
        CubeError: `dilate` is set, and a grid is not in metres.
    """
    for sensor, grid in grids.items():
        axis = grid.crs.proj.axis_info[0]
        unit = axis.unit_name
        # by its length, since files call it metre, meters or m
        if rule.dilate and (grid.crs.geographic or axis.unit_conversion_factor != 1):
            raise CubeError(
                f"building a cube: `dilate` is {rule.dilate:g} metres, but the pixels of '{sensor}' are in units of "
                f"{unit}; leave out `dilate` or `native_grid`"
            )
