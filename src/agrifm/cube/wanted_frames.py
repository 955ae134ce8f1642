"""The frames that are to be in a cube, and what an earlier cube in its place has of them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from agrifm.cube.earlier import NO_CUBE, EarlierCube, dark_of
from agrifm.cube.frames import Frame, InnerFrame, identity
from agrifm.grid import Grid
from agrifm.scene.encoding import Encoding
from agrifm.scene.mask import MaskRule
from agrifm.scene.offset_check import OffsetChoice


@dataclass(frozen=True)
class WantedFrames:
    """The frames that are to be in a cube, and what else decides their pixels."""

    frames: Sequence[Frame]
    grids: Mapping[str, Grid]
    """By sensor."""
    rule: MaskRule
    offset: OffsetChoice
    earlier: EarlierCube = NO_CUBE
    """The cube whose frames are taken over if they are the same."""
    inner: Mapping[tuple[str, int], InnerFrame] = field(default_factory=dict)
    """By sensor and position, what the earlier cube has of frames if its area is smaller."""

    @cached_property
    def fingerprints(self) -> list[str]:
        """Of the frames, in their order."""
        return [frame.fingerprint(self.grids[frame.sensor], self.rule, self.offset) for frame in self.frames]

    @cached_property
    def identities(self) -> dict[str, list[str]]:
        """What tells the frames from others, by sensor; files that cannot be read now hold what they held before."""
        return self._by_sensor(
            self.earlier.content(frame, mark) for frame, mark in zip(self.frames, self.fingerprints, strict=True)
        )

    @cached_property
    def identities_without_content(self) -> dict[str, list[str]]:
        """The same, whatever the files hold."""
        return self._by_sensor(None for _ in self.frames)

    def _by_sensor(self, contents: Iterable[str | None]) -> dict[str, list[str]]:
        by_sensor: dict[str, list[str]] = defaultdict(list)
        for frame, mark, content in zip(self.frames, self.fingerprints, contents, strict=True):
            by_sensor[frame.sensor].append(identity(mark, content))
        return dict(by_sensor)

    def source(self, frame: Frame, fingerprint: str) -> dict[str, Any] | None:
        """The provenance of a frame in the earlier cube, of the same area or of a smaller one."""
        inner = self.inner.get((frame.sensor, frame.index))
        return self.earlier.entries[inner.fingerprint][1] if inner else self.earlier.entry(frame, fingerprint)

    @property
    def measured(self) -> dict[int, dict[str, float | None]]:
        """What the earlier cube's offset check measured, by position of the scene among all."""
        before = [
            dict(zip(entry["scenes"], dark_of(entry), strict=True)) if (entry := self.source(frame, mark)) else {}
            for frame, mark in zip(self.frames, self.fingerprints, strict=True)
        ]
        of_scenes = [
            known.get(scene.id) for frame, known in zip(self.frames, before, strict=True) for scene in frame.scenes
        ]
        return {position: dark for position, dark in enumerate(of_scenes) if dark is not None}

    def inner_of(self, frame: Frame) -> InnerFrame | None:
        """What a smaller cube has of a frame, if its scenes had the same offsets."""
        inner = self.inner.get((frame.sensor, frame.index))
        if inner is None:
            return None
        entry, now = self.earlier.entries[inner.fingerprint][1], {one.id: one.encoding.offset for one in frame.scenes}
        same = all(now[name] == offset for name, offset in zip(entry["scenes"], entry["offsets"], strict=True))
        return inner if same else None

    def with_encodings(self, decided: Sequence[dict[str, Any] | None]) -> "WantedFrames":
        """The frames with the encodings of their scenes as they were decided when the build began."""
        encodings = iter(decided)
        frames = [
            replace(
                frame,
                scenes=tuple(
                    replace(scene, decided=Encoding(**encoding)) if (encoding := next(encodings)) else scene
                    for scene in frame.scenes
                ),
            )
            for frame in self.frames
        ]
        return replace(self, frames=frames)
