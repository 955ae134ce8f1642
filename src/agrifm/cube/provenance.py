"""What a cube states about itself: the scenes and encodings of each frame, the rules, and what was left out."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from agrifm.cube.frames import MERGE_RULE, Frame, complete
from agrifm.grid import Grid
from agrifm.record import running_versions
from agrifm.scene.file_versions import versions_of
from agrifm.scene.mask import ALWAYS_MASKED, MaskRule
from agrifm.scene.read import kernel_of
from agrifm.scene.scene import Scene

if TYPE_CHECKING:
    from agrifm.cube.wanted_frames import WantedFrames
    from agrifm.scene.search_result import SearchResult

INCOMPLETE = " incomplete"
"""End of the plan of a cube, and of the fingerprint of a frame, that lack scenes."""


def describe_frame(
    frame: Frame,
    read: Frame,
    shape: tuple[int, int],
    results: Sequence[Mapping[str, Any]],
    inner: Mapping[str, Any],
) -> dict[str, Any]:
    """The provenance of a frame: its scenes, their encodings, and how many pixels are usable and have each flag.

    `servers` is what servers stated about the files that were read, by address.

    Args:
        read: the frame without the scenes that failed.
        inner: provenance of the same frame in a smaller cube, from which the rest of the pixels is; else empty.
    """
    flags = Counter[str](inner.get("flags", {}))
    for result in results:
        flags.update(result["flags"])
    unmasked = [scene.id for scene in read.scenes if scene.lacks_quality]
    return {
        "day": frame.day.isoformat(),
        "scenes": [scene.id for scene in read.scenes],
        **describe_encodings(read),
        "valid_share": round(sum(result["valid"] for result in results) / (shape[0] * shape[1]), 4),
        "flags": dict(sorted(flags.items())),
        **({"without_quality": unmasked} if unmasked else {}),
        **({"servers": dict(sorted(stated.items()))} if (stated := dict(versions_of([inner, *results]))) else {}),
    }


def describe_encodings(frame: Frame) -> dict[str, Any]:
    """The encodings of a frame's scenes, and what decided them."""
    encodings, baselines = [scene.encoding for scene in frame.scenes], [scene.baseline for scene in frame.scenes]
    dark = [None if encoding.dark is None else dict(encoding.dark) for encoding in encodings]
    return {
        "offsets": [encoding.offset for encoding in encodings],
        "encodings": [encoding.source for encoding in encodings],
        **({"baselines": baselines} if any(baselines) else {}),
        **({"dark_pixels": dark} if any(dark) else {}),
    }


def usable_rule(rule: MaskRule) -> dict[str, Any]:
    """The rule as the provenance states it."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(rule).items()} | {
        "always": list(ALWAYS_MASKED)
    }


def sources_of(scenes: Iterable[Scene]) -> list[str]:
    """The catalogues or directories that scenes were found in, at most 20."""
    return sorted({scene.source.rpartition("/")[0] or scene.source for scene in scenes})[:20]


def _describe_sensor(frames: Sequence[Frame], sensor: str, grid: Grid) -> dict[str, Any]:
    """The provenance that all frames of a sensor share."""
    scene = next(frame.scenes[0] for frame in frames if frame.sensor == sensor and frame.scenes)
    product = scene.product
    kernels = {band: kernel_of(scene, key, band, grid, product.kernel) for band, key in product.assets.items()}
    return {
        "product": product.name,
        **({} if product.description is None else {"described": dict(product.description)}),
        "scale": product.scale,
        "kernel": f"{product.kernel}; area mean where the grid is coarser by half or more; categories nearest",
        "kernels": kernels,
        "resampled_before": product.resampled_before,
        "quality": {
            asset: str(rule)
            for frame in frames
            if frame.sensor == sensor
            for scene in frame.scenes
            for asset, rule in scene.quality_bands.items()
        },
    }


def describe_build(
    search: "SearchResult",
    plan: str,
    wanted: "WantedFrames",
    described: Mapping[str, dict[str, Any]],
    failed: Mapping[str, str],
) -> dict[str, Any]:
    """The provenance of a whole cube; one without some scenes has another plan, so that they are asked for again.

    Args:
        described: the frames by sensor, as `write_frames` returns them.
    """
    read = [complete(frame, failed) for frame in wanted.frames]
    return {
        "plan": plan + (INCOMPLETE if failed else ""),
        **({"failed": dict(sorted(failed.items()))} if failed else {}),
        "merge_rule": MERGE_RULE,
        "usable": usable_rule(wanted.rule),
        "removed": dict(sorted(search.removed.items())),
        "skipped": sorted([*(scene.id for scene in search.skipped), *search.unread]),
        "sources": sources_of(search.scenes),
        "sensors": {name: _describe_sensor(read, name, grid) | described[name] for name, grid in wanted.grids.items()},
        "versions": running_versions("rasterio", "zarr"),
    }
