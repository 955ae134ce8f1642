"""Files of unknown origin: nothing in them is run, and nothing that claims more than it holds is unpacked."""

import io
import pickle
import sys
import types
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.models.weights.weight_files import weight_files

from agrifm.errors import ModelError
from agrifm.models.weights.checkpoint import MAX_STRUCTURE_BYTES, read_checkpoint
from agrifm.models.weights.inspect import inspect_weights


class Hostile:
    """Would create a file when unpickled."""

    def __init__(self, canary: Path, opening: Any = open) -> None:
        self.canary, self.opening = canary, opening

    def __reduce__(self) -> tuple[Any, ...]:
        return self.opening, (str(self.canary), "w")


def test_a_pickle_that_calls_is_refused_and_not_called(tmp_path: Path) -> None:
    import os

    class System:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {tmp_path / 'canary'}",)

    class Evaluated:
        def __reduce__(self) -> tuple[Any, ...]:
            return eval, (f"open({str(tmp_path / 'canary')!r}, 'w')",)

    for number, hostile in enumerate((System(), Evaluated(), Hostile(tmp_path / "canary"))):
        for modern in (True, False):
            path = tmp_path / f"{number}{modern}.pth"
            torch.save(
                {"state_dict": {"x": torch.zeros(2)}, "meta": hostile}, path, _use_new_zipfile_serialization=modern
            )
            with pytest.raises(ModelError, match="nothing was called"):
                read_checkpoint(path)
    bare = tmp_path / "bare.pkl"
    bare.write_bytes(pickle.dumps(System(), protocol=2))
    with pytest.raises(ModelError):
        read_checkpoint(bare)
    assert not (tmp_path / "canary").exists()
    torch.load(tmp_path / "2True.pth", weights_only=False)["meta"].close()
    assert (tmp_path / "canary").exists(), "the pickle was no threat, and the test proves nothing"


def test_getattr_in_a_pickle_reaches_nothing(tmp_path: Path) -> None:
    """`getattr` is among the names of the reference's notes; something inert stands for it."""
    stream = b"\x80\x02c__builtin__\ngetattr\n(c__builtin__\ngetattr\nX\x08\x00\x00\x00__call__tR(tR."
    path = tmp_path / "getattr.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", stream)
        archive.writestr("a/version", "3\n")
    with pytest.raises(ModelError):
        read_checkpoint(path)


def test_notes_of_the_reference_beside_the_weights_are_passed_over(tmp_path: Path) -> None:
    """A checkpoint of mmengine holds its history of losses: objects of its own, with NumPy arrays and methods."""

    class HistoryBuffer:
        def __init__(self) -> None:
            self.history = np.arange(3.0)
            self.last = np.float64(2.0)
            self.methods = {"mean": HistoryBuffer.mean}

        def mean(self) -> float:
            return float(self.history.mean())

    module = types.ModuleType("mmengine.logging.history_buffer")
    HistoryBuffer.__module__, HistoryBuffer.__qualname__ = module.__name__, "HistoryBuffer"
    HistoryBuffer.mean.__module__, HistoryBuffer.mean.__qualname__ = module.__name__, "HistoryBuffer.mean"
    module.HistoryBuffer = HistoryBuffer  # type: ignore[attr-defined]
    names = ["mmengine", "mmengine.logging", module.__name__]
    file = weight_files()["training.pth"]
    hub = {"log_scalars": {"loss": HistoryBuffer()}}
    try:
        sys.modules |= dict.fromkeys(names[:2], types.ModuleType("mmengine")) | {names[2]: module}
        path = file.write(tmp_path, beside={**file.beside, "message_hub": hub})
    finally:
        for name in names:
            sys.modules.pop(name, None)
    assert read_checkpoint(path).other_entries == ("meta", "optimizer", "message_hub")
    assert len(inspect_weights(path).report.loaded) == sum("position_index" not in name for name in file.state)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"x": torch.zeros(5_000_000)}, buffer)
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(buffer) as good, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb:
        for entry in good.infolist():
            bomb.writestr(entry.filename, good.read(entry))
    assert path.stat().st_size < 100_000
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was unpacked"))
        with pytest.raises(ModelError, match=r"20,\d{3},\d{3} bytes"):
            read_checkpoint(path)


def test_a_small_storage_spread_over_a_large_tensor_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "spread.pth"
    torch.save({"x": torch.zeros(1).expand(10**12)}, path)
    with pytest.raises(ModelError, match="4,000,000,000,000 bytes"):
        read_checkpoint(path)
    shared = torch.zeros(1000)
    torch.save({str(number): shared for number in range(100)}, path)
    with pytest.raises(ModelError, match="claims"):
        read_checkpoint(path)


def test_large_files_and_large_structures_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save({"x": torch.zeros(10_000)}, path)
    with pytest.raises(ModelError, match="limit of 1,000"):
        read_checkpoint(path, limit=1000)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", bytes(MAX_STRUCTURE_BYTES + 1))
    with pytest.raises(ModelError, match="names and shapes"):
        read_checkpoint(path)


def test_what_holds_no_plain_tensors_by_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    for content in ([torch.zeros(1)], {"a": 1}, torch.zeros(3), {"state_dict": {}}):
        torch.save(content, path)
        with pytest.raises(ModelError, match="no tensors"):
            read_checkpoint(path)
    for odd in (torch.eye(3).to_sparse(), torch.zeros(10**9, device="meta")):
        torch.save({"x": odd}, path)
        with pytest.raises(ModelError, match="'x'"):
            read_checkpoint(path)


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"II*\x00 and so on", "a TIFF"),
        (b"\x1f\x8b gzip or so", "unpack it first"),
        (b"version https://git-lfs", "pointer of Git LFS"),
        (b"some text, longer", "neither safetensors"),
        (b"x", "neither safetensors"),
    ],
)
def test_other_formats_are_named(start: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(start)
    with pytest.raises(ModelError, match=said):
        read_checkpoint(path)


def test_a_directory_and_an_absent_file_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.pth"):
        with pytest.raises(ModelError, match=path.name):
            read_checkpoint(path)


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = weight_files()["distributed.pth"].write(tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="damaged"):
        read_checkpoint(path)
