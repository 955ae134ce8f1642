"""What a step of a project is forecast to cost, and what was found for it."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class StepForecast:
    """One step: fetch, train, map or parcels."""

    name: str
    requests: int = 0
    """To servers."""
    moved_bytes: int = 0
    """Read from servers."""
    read_bytes: int = 0
    """Read from disks."""
    disk_bytes: int = 0
    """What the step leaves on the disk."""
    scratch_bytes: int = 0
    """What it needs there besides while it runs."""
    memory_bytes: int = 0
    """Of one process, at the peak."""
    core_seconds: float = 0.0
    """Of one processor, with loading the libraries once; all workers together."""
    seconds: float = 0.0
    """From beginning to end."""
    start_seconds: float = 0.0
    """Of both, loading the libraries."""
    pieces: int = 0
    """Pieces of work (tiles of frames, windows) each of which is kept if a run is stopped; 0 = not known."""
    model_seconds: dict[str, float] = field(default_factory=dict)
    """Of training, by model."""
    notes: tuple[str, ...] = field(default_factory=tuple)
    """What the numbers rest on, in sentences."""


@dataclass(frozen=True)
class SensorForecast:
    """The scenes of one sensor that were found."""

    sensor: str
    products: tuple[str, ...]
    scenes: dict[str, int]
    """By month, "2024-05"."""
    frames: dict[str, int]
    """Days with scenes, by month."""
    usable: dict[str, float]
    """Usable observations that a pixel can expect, by month: frames, less clouds and what is outside the footprints."""
    without_cloud_cover: int
    """Scenes that state no cloud cover; they count as clear."""
    kept: int
    """Days that the project's cube has already."""
    opened: int
    """Scenes whose headers were read."""
    disk_bytes: int
    """In the cube."""
