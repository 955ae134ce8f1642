"""The map's STAC item: what it shows, where and when, what it was made from and with, and its hectares."""

import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import pystac
from shapely.geometry import mapping

from agrifm.files import write_json
from agrifm.legend import UNLABELLED, Legend
from agrifm.mapping.windows import MapPlan
from agrifm.record import running_versions

EXTENSIONS = (
    "https://stac-extensions.github.io/classification/v2.0.0/schema.json",
    "https://stac-extensions.github.io/processing/v1.2.0/schema.json",
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
)


def write_map_item(
    directory: Path,
    out: Path,
    plan: MapPlan,
    hectares: Mapping[str, float],
    nodata_hectares: float,
    model_item: Path | None,
) -> None:
    """Write `item.json` of a map.

    Args:
        directory: where to write it now.
        out: where the map will lie; links are relative to it.
        hectares: mapped, by class code.
        nodata_hectares: inside the area, where nothing valid was seen.
        model_item: the model's STAC item, linked where it exists.
    """
    season, record = plan.cube.season, plan.record
    start, end = (
        datetime.combine(day, moment, UTC) for day, moment in ((season.start, time()), (season.end, time.max))
    )
    item = pystac.Item(
        id=f"{record.name}-{season.start:%Y%m%d}-{season.end:%Y%m%d}",
        geometry=mapping(plan.cube.area),
        bbox=list(plan.cube.area.bounds),
        datetime=None,
        start_datetime=start,
        end_datetime=end,
        properties={
            "title": f"Crop map by {record.name}, {season.start} to {season.end}",
            "processing:level": "L4",
            "processing:software": running_versions("torch", "scikit-learn", "rasterio", "zarr"),
            "processing:lineage": (
                f"model '{record.name}' on {', '.join(plan.cube.sensors)}, interpolated to {record.frames} steps; "
                f"windows of {plan.side} pixels sharing {plan.overlap}, blended by linear ramps; the class of highest "
                "probability, clipped to the area"
            ),
            **_projection(plan),
            "agrifm:hectares": {code: round(value, 4) for code, value in hectares.items()},
            "agrifm:nodata_hectares": round(nodata_hectares, 4),
        },
        stac_extensions=list(EXTENSIONS),
    )
    item.add_asset(
        "classes",
        pystac.Asset(
            "./classes.tif",
            "Class numbers",
            media_type=pystac.MediaType.COG,
            roles=["data"],
            extra_fields={"classification:classes": _classes(record.legend)},
        ),
    )
    item.add_asset(
        "confidence",
        pystac.Asset(
            "./confidence.tif",
            "Highest class probability",
            description=f"Percent, 0 to 100; {UNLABELLED} is nodata.",
            media_type=pystac.MediaType.COG,
            roles=["data", "confidence"],
        ),
    )
    item.add_asset("preview", pystac.Asset("./map.png", "Preview", media_type="image/png", roles=["overview"]))
    if model_item is not None and model_item.exists():
        item.add_link(_derived_from(model_item, out, "application/geo+json", "model"))
    item.add_link(_derived_from(plan.cube.path, out, "application/vnd+zarr", "cube"))
    write_json(directory / "item.json", item.to_dict(include_self_link=False, transform_hrefs=False))


def _derived_from(path: Path, out: Path, media_type: str, title: str) -> pystac.Link:
    href = Path(os.path.relpath(path.resolve(), out.resolve())).as_posix()
    return pystac.Link(pystac.RelType.DERIVED_FROM, href, media_type, title)


def _projection(plan: MapPlan) -> dict[str, Any]:
    code = plan.grid.crs.epsg
    where = {"proj:wkt2": plan.grid.crs.to_wkt()} if code is None else {"proj:code": f"EPSG:{code}"}
    return {**where, "proj:shape": list(plan.grid.shape), "proj:transform": list(plan.grid.transform)}


def _classes(legend: Legend) -> list[dict[str, Any]]:
    """Classes as the classification extension writes them; its names hold letters, digits, - and _ only."""
    found = [
        {
            "value": number,
            "name": re.sub(r"[^0-9A-Za-z_-]", "_", entry.code) or "_",
            "title": entry.name,
            "color_hint": entry.color.lstrip("#").upper(),
        }
        for number, entry in enumerate(legend.classes)
    ]
    nodata = {"value": UNLABELLED, "name": "nodata", "title": "Nothing valid seen, or outside the area", "nodata": True}
    return [*found, nodata]
