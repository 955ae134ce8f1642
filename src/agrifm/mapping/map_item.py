"""The STAC item of a map: what it was made of and how, so that it can be made again (`agrifm.mapping.again`)."""

from pathlib import Path
from typing import TYPE_CHECKING

from agrifm.cube.until import CubeUntil
from agrifm.inference.mean import members_of
from agrifm.inference.predictor import TrainedModel
from agrifm.mapping.windows import MapPlan
from agrifm.models.precision import DEFAULT_COMPUTE
from agrifm.stac import CROPLAND_LINK, SETTINGS, UNTIL_PROPERTY, map_lineage, write_map_item
from agrifm.work import fingerprint

if TYPE_CHECKING:
    from agrifm.mapping.map_rasters import WrittenRasters


def write_item_of(
    result: Path,
    out: Path,
    plan: MapPlan,
    model: TrainedModel,
    written: "WrittenRasters",
    model_id: str,
    model_item: Path | None,
    cropland: Path | None = None,
) -> None:
    """Write the map's STAC item into `result`; the map will be at `out`.

    Args:
        written: what its rasters say.
        model_id: SHA-256 of the model file, and the precision.
        model_item: the model's item, from which the map's is derived.
        cropland: the raster of cropland that was used.
    """
    sources = {**_model_items(model, model_item), "cube": plan.cube.path}
    if cropland is not None:
        sources[CROPLAND_LINK] = cropland
    members = [(member.model.record, member.weight) for member in members_of(model) if member.file]
    write_map_item(
        result,
        out,
        plan.record,
        plan.cube.season,
        plan.cube.area,
        plan.grid,
        map_lineage(plan.record, plan.cube.sensors, plan.side, plan.overlap, members),
        written.hectares,
        written.nodata_hectares,
        sources,
        model_id.split()[0] if model_item is not None else "",
        [layer for one in written.statements for layer in one.rasters],
        {
            **({UNTIL_PROPERTY: plan.cube.until.isoformat()} if isinstance(plan.cube, CubeUntil) else {}),
            SETTINGS: {
                "window": plan.side,
                "overlap": plan.overlap,
                "precision": (model_id.split()[1:] or [DEFAULT_COMPUTE.precision])[0],
                "cube": source_fingerprint(plan),
                **({"lattice": True} if plan.lattice else {}),
            },
            **{key: value for one in written.statements for key, value in one.properties.items()},
        },
    )


def _model_items(model: TrainedModel, model_item: Path | None) -> dict[str, Path]:
    """Items of a model and of the members of a mean, by title."""
    if model_item is None:
        return {}
    files = [Path(member.file) for member in members_of(model) if member.file]
    return {"model": model_item, **{file.stem: model_item.with_name(f"{file.stem}.json") for file in files}}


def cube_content(plan: MapPlan) -> list[object]:
    """What tells the cube of a map from others."""
    sensors = {
        name: [sensor.input.model_dump(), str(sensor.grid.crs), list(sensor.grid.transform), sensor.date.tolist()]
        for name, sensor in plan.cube.sensors.items()
    }
    return [plan.cube.provenance, sensors, str(plan.cube.season), plan.cube.area.wkt]


def source_fingerprint(plan: MapPlan) -> str:
    """Return the SHA-256 of what tells the cube of a map from others: sensors, dates, scenes, season and area."""
    return fingerprint(cube_content(plan))
