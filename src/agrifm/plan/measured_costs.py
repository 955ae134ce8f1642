"""Unit costs of this machine: measured once by a probe of a few seconds, and kept in the user's cache.

They are measured anew when the versions or the processor are other ones.
"""

import json
import os
import platform
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agrifm.errors import OutputError
from agrifm.files import user_cache, write_json
from agrifm.plan.model_work import ModelWork
from agrifm.plan.probe_fetch import measure_fetch
from agrifm.plan.probe_models import measure_models
from agrifm.plan.probe_parcels import measure_parcels
from agrifm.plan.unit_costs import NO_MODELS, UnitCosts
from agrifm.record import running_versions
from agrifm.work import fingerprint

CACHE = "unit-costs.json"
FORMAT = 2
"""Of the probe; another one measures anew."""
MODEL_SECONDS = 6.0
"""Of a processor, for measuring the models of a project; with the fetch and the parcels 10 in all."""
LIBRARIES = ("rasterio", "zarr", "torch", "scikit-learn")


def cache_file() -> Path:
    """Return where unit costs are kept: in the user's folder for caches."""
    return user_cache() / CACHE


def machine_costs(work: ModelWork | None, file: Path | None = None) -> tuple[UnitCosts, str]:
    """Return the unit costs of this machine, and where they come from; what is not kept is measured.

    Args:
        work: the models of a project; None for none.
        file: where they are kept; by default `cache_file`.
    """
    file = cache_file() if file is None else file
    known = _kept(file)
    costs, spent = (known, 0.0) if known is not None else _measured()
    key = NO_MODELS if work is None else fingerprint(work.model_dump(mode="json"))[:16]
    if work is not None and key not in costs.models:
        models = own_process(measure_models, work.model_dump(), MODEL_SECONDS)
        costs = costs.model_copy(update={"models": {**costs.models, key: models}})
        spent += models.get("probe_seconds", 0.0)
    if costs == known:
        return costs.of(key), f"unit costs of this machine measured before ({file})"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, costs.model_dump(mode="json", exclude={"chosen"}))
    except (OSError, OutputError):  # the next plan measures again
        return costs.of(key), f"unit costs of this machine measured now, in {spent:.0f} s of a processor"
    return costs.of(key), f"unit costs of this machine measured now, in {spent:.0f} s of a processor, and kept ({file})"


def own_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a module's function returns in a process of its own, whose memory is that of the function alone."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        return pool.submit(function, *arguments).result()


def _kept(file: Path) -> UnitCosts | None:
    try:
        known = UnitCosts.model_validate(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError):
        return None
    return known if known.made_by == _made_by() else None


def _made_by() -> dict[str, str]:
    processor = f"{platform.machine()}, {platform.processor()}, {os.cpu_count()} cores, {platform.node()}"
    return {**running_versions(*LIBRARIES), "processor": processor, "probe": str(FORMAT)}


def _measured() -> tuple[UnitCosts, float]:
    fetch = own_process(measure_fetch)
    costs = UnitCosts(
        made_by=_made_by(),
        cores=os.cpu_count() or 1,
        start_seconds=fetch["start_seconds"],
        fetch_asset_seconds=fetch["asset_seconds"],
        fetch_pixel_seconds=fetch["pixel_seconds"],
        fetch_base_bytes=fetch["base_bytes"],
        fetch_pixel_bytes=fetch["pixel_bytes"],
        codec=tuple(sorted(fetch["codec"])),
        read_seconds=fetch["read_seconds"],
        parcel_seconds=own_process(measure_parcels),
    )
    return costs, fetch.get("probe_seconds", 0.0)
