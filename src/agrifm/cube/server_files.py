"""Files on servers that were replaced since a cube was built from them: asked for at once, and their frames redone.

A cube's frames, and the journal of one that is not finished, keep what the servers stated when the files were read. A
checksum that an item states is part of the frame's identity already, so such a file is not asked for.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agrifm.redaction import shown
from agrifm.scene.file_versions import FileVersion, versions_of
from agrifm.scene.remote import TRAFFIC
from agrifm.scene.replaced_files import UncomparedError, is_replaced
from agrifm.scene.scene import RemoteAsset
from agrifm.work import Resumable, progress, run_tiles

if TYPE_CHECKING:
    from agrifm.cube.earlier import EarlierCube
    from agrifm.cube.frames import Frame

THREADS = 8
"""Files that are asked for at once, unless the provider allows fewer."""
MAX_MISSED = 3
"""Files of a server that answered for others and not for these, after which it is not asked for more."""
MAX_NAMED = 3
"""Replaced files that a note names."""
_Question = tuple[str, FileVersion]


@dataclass
class ServerFiles:
    """The files on servers of some frames, and what became of them."""

    frames: Sequence["Frame"]
    fingerprints: Sequence[str]
    """Of the frames."""
    replaced: dict[_Question, bool] = field(default_factory=dict)
    """Whether a file is another one than a version of before."""
    uncompared: dict[_Question, str] = field(default_factory=dict)
    """Why a file could not be compared; it counts as the same."""

    def current(self, earlier: "EarlierCube") -> tuple["EarlierCube", bool]:
        """A finished cube without the frames whose files were replaced; and whether there are any."""
        entries = [earlier.entry(frame, mark) for frame, mark in zip(self.frames, self.fingerprints, strict=True)]
        stated = [versions_of([entry]) for entry in entries]
        self._ask(question for questions in stated for question in questions)
        gone = {mark for mark, questions in zip(self.fingerprints, stated, strict=True) if self._is_replaced(questions)}
        return (earlier.without(gone), True) if gone else (earlier, False)

    def forget_replaced(self, work: Resumable, earlier: "EarlierCube") -> None:
        """Declare units of work unfinished that were read from files that were replaced, or from a frame that was.

        Args:
            earlier: without the frames whose files were replaced.
        """
        stated = {key: versions_of([result]) for key, result in work.results.items()}
        self._ask(question for questions in stated.values() for question in questions)
        known = {
            f"{frame.sensor}/{frame.index}"
            for frame, mark in zip(self.frames, self.fingerprints, strict=True)
            if earlier.entry(frame, mark) is not None
        }
        of_frame = {key: "/".join(key.split("/")[:2]) for key in stated}
        gone = {of_frame[key] for key, questions in stated.items() if self._is_replaced(questions)}
        gone |= {of_frame[key] for key, result in work.results.items() if "kept" in result} - known
        if gone:
            work.decisions = None  # the offsets are checked again
            work.forget([key for key, frame in of_frame.items() if frame in gone])

    def notes(self) -> tuple[str, ...]:
        """Say which files were replaced, and how many could not be compared."""
        found = []
        names = sorted({name for (name, _), is_other in self.replaced.items() if is_other})
        if names:
            more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
            found.append(
                f"{len(names)} files were replaced on their servers since they were read: "
                f"{', '.join(names[:MAX_NAMED])}{more}; their frames were read anew"
            )
        if self.uncompared:
            total = len(self.replaced) + len(self.uncompared)
            found.append(
                f"{len(self.uncompared)} of {total} files on servers could not be compared with what was read "
                f"({next(iter(self.uncompared.values()))}); they are taken to be the same"
            )
        return tuple(found)

    def _is_replaced(self, questions: Iterable[_Question]) -> bool:
        return any(self.replaced.get(question, False) for question in questions)

    def _ask(self, questions: Iterable[_Question]) -> None:
        """Ask servers about files, each once; no more of a server that does not answer."""
        assets = {
            shown(asset.href): asset
            for frame in self.frames
            for scene in frame.scenes
            for asset in scene.assets.values()
            if isinstance(asset, RemoteAsset) and asset.stated is None
        }
        seen = self.replaced.keys() | self.uncompared.keys()
        new = sorted({question for question in questions if question[0] in assets} - seen, key=repr)
        silent: dict[str, str] = {}
        missed: Counter[str] = Counter()
        answered: set[str] = set()

        def answer(question: _Question) -> bool | str:
            name, version = question
            host = urlsplit(name).netloc
            if host in silent:
                return silent[host]
            try:
                found = is_replaced(assets[name], version)
            except UncomparedError as error:
                missed[host] += error.whole_server
                if error.whole_server and (host not in answered or missed[host] == MAX_MISSED):
                    silent[host] = str(error)
                return str(error)
            answered.add(host)
            return found

        if not new:
            return
        with (
            TRAFFIC.purpose("comparison"),
            ThreadPoolExecutor(THREADS) as executor,
            progress("compare with servers", len(new)) as advance,
        ):
            for question, found in run_tiles(answer, new, executor, 2 * THREADS):
                advance(1)
                if isinstance(found, str):
                    self.uncompared[question] = found
                else:
                    self.replaced[question] = found
