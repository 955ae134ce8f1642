"""The registry of public sets: folders that are none of them, and those that would need pickle."""

from pathlib import Path

import numpy as np
import pytest

from agrifm.errors import LabelError
from agrifm.samples.public.registry import PUBLIC_SETS, read_public_set, recognise, why_not_read


def test_every_set_states_licence_citation_and_source() -> None:
    for name, reader in PUBLIC_SETS.items():
        assert name == reader.facts.name
        for text in (reader.facts.title, reader.facts.licence, reader.facts.citation, reader.facts.source):
            assert text.strip()


def test_a_folder_without_a_set_is_not_recognised(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    assert recognise(tmp_path) is None
    assert recognise(tmp_path / "absent") is None
    with pytest.raises(LabelError) as caught:
        read_public_set(tmp_path)
    assert caught.value.facts["known"] == list(PUBLIC_SETS)


def write_pastis24(folder: Path) -> None:
    (folder / "pickle24x24").mkdir()
    (folder / "pickle24x24" / "10000_0.pickle").write_bytes(b"\x80\x04.")


def write_sickle(folder: Path) -> None:
    images = folder / "S2" / "npy" / "123"
    images.mkdir(parents=True)
    np.savez(images / "20200101_x.npz", B2=np.zeros((32, 32)))
    (folder / "masks" / "yield_distributed" / "10m").mkdir(parents=True)


def write_denethor(folder: Path) -> None:
    patch = folder / "PF-SR" / "2018-01-01"
    (patch / "data").mkdir(parents=True)
    np.save(patch / "data" / "BANDS.npy", np.zeros((1, 2, 2, 4)))
    (patch / "bbox.pkl").write_bytes(b"\x80\x04.")


def write_pixel_set(folder: Path) -> None:
    (folder / "metadata_parcel.csv").write_text("ID_PARCEL,ID_PATCH,Fold,Label\n1,10000,1,3\n")


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (write_pastis24, "PASTIS24"),
        (write_sickle, "SICKLE"),
        (write_denethor, "DENETHOR"),
        (write_pixel_set, "PASTIS pixel sets"),
    ],
)
def test_sets_that_cannot_be_read_are_refused_with_a_reason(tmp_path: Path, write, name: str) -> None:  # type: ignore[no-untyped-def]
    write(tmp_path)
    assert recognise(tmp_path) is None
    assert why_not_read(tmp_path)
    with pytest.raises(LabelError) as caught:
        read_public_set(tmp_path)
    assert caught.value.facts["set"] == name
