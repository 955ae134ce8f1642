"""HDF5 and NetCDF 4 files that lead to other files or declare what they cannot hold are refused; others are read."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from rasterio.errors import RasterioError

from agrifm.errors import SceneError
from agrifm.hdf5_files import UnreadableContentError, require_plain_hdf5
from agrifm.rasters import open_raster
from agrifm.scene.netcdf import dataset_acquisitions, open_netcdf

SIDE = 8
SECRET = np.full((1, SIDE, SIDE), 4242, np.uint16)


def write(path: Path, change: Callable[[h5py.File], None] = lambda _: None) -> Path:
    """A season of one day and one band, as h5py writes NetCDF 4; then a change is made to it."""
    with h5py.File(path, "w") as file:
        file["time"] = np.array([19853])
        file["time"].attrs["units"] = "days since 1970-01-01"
        file["y"], file["x"] = 5_197_435 - 10.0 * np.arange(SIDE), 447_845 + 10.0 * np.arange(SIDE)
        file["B04"] = np.arange(SIDE * SIDE, dtype=np.uint16).reshape(1, SIDE, SIDE)
        file.attrs["crs"] = "EPSG:32631"
        for name in ("time", "y", "x"):
            file[name].make_scale(name)
        change(file)
        if isinstance(file.get("B04", getlink=True), h5py.HardLink):
            for axis, name in enumerate(("time", "y", "x")):
                file["B04"].dims[axis].attach_scale(file[name])
    return path


def acquisitions(path: Path) -> list:
    return dataset_acquisitions(open_netcdf(path, "reading"), {"B04": "red"}, "reading", path)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Another file, in a folder that the user may read."""
    (tmp_path / "home").mkdir()
    with h5py.File(tmp_path / "home" / "secret.h5", "w") as file:
        file["B04"] = SECRET
    SECRET.tofile(tmp_path / "home" / "secret.bin")
    return tmp_path / "home" / "secret.h5"


def link(file: h5py.File, secret: Path) -> None:
    del file["B04"]
    file["B04"] = h5py.ExternalLink(str(secret), "/B04")


def relative_link(file: h5py.File, secret: Path) -> None:
    del file["B04"]
    file["B04"] = h5py.ExternalLink("../home/secret.h5", "/B04")


def link_in_a_group(file: h5py.File, secret: Path) -> None:
    file.create_group("a/b")["c"] = h5py.ExternalLink(str(secret), "/")


def soft_link_to_a_link(file: h5py.File, secret: Path) -> None:
    del file["B04"]
    file["other"] = h5py.ExternalLink(str(secret), "/B04")
    file["B04"] = h5py.SoftLink("/other")


def virtual(file: h5py.File, secret: Path) -> None:
    del file["B04"]
    layout = h5py.VirtualLayout((1, SIDE, SIDE), np.uint16)
    layout[:] = h5py.VirtualSource(str(secret), "B04", (1, SIDE, SIDE))
    file.create_virtual_dataset("B04", layout)


def external_storage(file: h5py.File, secret: Path) -> None:
    del file["B04"]
    file.create_dataset("B04", (1, SIDE, SIDE), np.uint16, external=[(str(secret.with_suffix(".bin")), 0, 128)])


@pytest.mark.parametrize(
    "change", [link, relative_link, link_in_a_group, soft_link_to_a_link, virtual, external_storage]
)
def test_a_file_that_leads_to_another_one_is_refused(
    tmp_path: Path, secret: Path, change: Callable[[h5py.File, Path], None]
) -> None:
    (tmp_path / "given").mkdir()
    path = write(tmp_path / "given" / "season.nc", lambda file: change(file, secret))
    if change is not link_in_a_group:
        with h5py.File(path) as file:
            assert (file["B04"][...] == SECRET).all()  # HDF5 itself would give the other file's numbers
    with pytest.raises(SceneError) as error:
        acquisitions(path)
    assert isinstance(error.value.__cause__, UnreadableContentError)
    assert error.value.facts["path"] == path
    with pytest.raises(RasterioError):
        open_raster(path)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_links_inside_a_file_are_not_refused_and_circles_end(tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        file["group/again"] = h5py.SoftLink("/group")
        file["group/top"] = file["/"]
        file["lost"] = h5py.SoftLink("/nowhere")

    path = write(tmp_path / "season.nc", change)
    require_plain_hdf5(path)
    with open_raster(path) as source:
        assert source.shape == (SIDE, SIDE)


def test_a_virtual_dataset_of_its_own_file_is_read(tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        layout = h5py.VirtualLayout((1, SIDE, SIDE), np.uint16)
        layout[:] = h5py.VirtualSource(".", "stored", (1, SIDE, SIDE))
        file["stored"] = file["B04"][...] + 1
        del file["B04"]
        file.create_virtual_dataset("B04", layout)

    ((_, _, assets),) = acquisitions(write(tmp_path / "season.nc", change))
    assert (assets["red"].pixels.values == np.arange(1, SIDE * SIDE + 1).reshape(SIDE, SIDE)).all()


def huge_shape(file: h5py.File) -> None:
    del file["B04"]
    file.create_dataset("B04", (1, 2**30, 2**30), np.uint16, chunks=(1, 256, 256))


def huge_coordinate(file: h5py.File) -> None:
    """Eight gigabytes of zeros in some kilobytes; coordinates are read at once."""
    file.create_dataset("longer", (10**9,), np.float64, chunks=(10**6,), compression="gzip")


def huge_chunk(file: h5py.File) -> None:
    """A gigabyte of zeros, which gzip packs a thousandfold, for every pixel."""
    file.create_dataset("wide", (1, 2**14, 2**15), np.uint16, chunks=(1, 2**14, 2**15), compression="gzip")


def huge_text(file: h5py.File) -> None:
    file.create_dataset("text", (1,), "S2000000000")


@pytest.mark.parametrize("change", [huge_shape, huge_coordinate, huge_chunk, huge_text])
def test_what_a_file_cannot_hold_is_refused_before_memory_is_taken(
    tmp_path: Path, change: Callable[[h5py.File], None]
) -> None:
    path = write(tmp_path / "season.nc", change)
    assert path.stat().st_size < 1_000_000
    tracemalloc.start()  # which counts NumPy's arrays too
    try:
        with pytest.raises(SceneError) as error:
            acquisitions(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(error.value.__cause__, UnreadableContentError)
    assert peak < 50_000_000


def test_zeros_that_are_packed_a_thousandfold_are_read(tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        del file["B04"]
        file.create_dataset("B04", (1, SIDE, SIDE), np.uint16, chunks=(1, SIDE, SIDE), compression="gzip")

    ((_, _, assets),) = acquisitions(write(tmp_path / "season.nc", change))
    assert (assets["red"].pixels.values == 0).all()
