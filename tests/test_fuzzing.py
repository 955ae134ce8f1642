"""Hundreds of damaged headers of model files and HDF5 end in a sentence or the right result: no crash or traceback."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agrifm.classic.forest import save_forest
from tests.classic.test_forest_structure import small_forest
from tests.fuzzing import judge
from tests.models.exported_networks import save_network


def save_season(path: Path) -> None:
    """A NetCDF file of one day, a packed band and a scene classification."""
    import xarray as xr

    axis = np.arange(48) * 20 + 10.0
    values = np.arange(48 * 48).reshape(1, 48, 48)
    dataset = xr.Dataset(
        {
            "B04": (("time", "y", "x"), values.astype(np.uint16)),
            "scl": (("time", "y", "x"), (values % 11).astype(np.uint8)),
        },
        {"time": np.array(["2024-05-10"], "datetime64[ns]"), "y": 5_197_440 - axis, "x": 447_840 + axis},
        {"crs": "EPSG:32631"},
    )
    dataset.to_netcdf(path, engine="h5netcdf", encoding={"B04": {"zlib": True, "chunksizes": (1, 24, 24)}})


def save_safetensors(path: Path) -> None:
    save_network(path, "interpolated")


def save_skops(path: Path) -> None:
    save_forest(path, small_forest())


def save_onnx(path: Path) -> None:
    for needed in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(needed, reason="needs agrifm[export]")
    from agrifm.models.export import export

    export(save_network(path.with_suffix(".safetensors"), "interpolated"), path, side=24)


def judged(kind: str, save: Callable[[Path], None], directory: Path, count: int) -> tuple[int, int]:
    """Run inputs; returns how many were refused, and how many were read with other numbers than the good file has."""
    file = directory / f"good.{kind}"
    save(file)
    found = judge(kind, file, count)
    print(kind, dict(found))
    assert found.keys() <= {"error", "result", "other"}, found
    assert found.total() == count
    return found["error"], found["other"]


@pytest.mark.check
def test_weights_are_refused_or_those_that_were_written(tmp_path: Path) -> None:
    refused, others = judged("safetensors", save_safetensors, tmp_path, 200)
    assert refused > 190
    assert others == 0  # the digest tells them


@pytest.mark.check
def test_a_forest_is_refused_or_the_one_that_was_written(tmp_path: Path) -> None:
    refused, others = judged("skops", save_skops, tmp_path, 200)
    assert refused > 180
    assert others == 0


def test_a_season_in_hdf5_is_refused_or_read(tmp_path: Path) -> None:
    """Of 200 files, few have a changed number that HDF5 has no checksum of."""
    refused, others = judged("hdf5", save_season, tmp_path, 200)
    assert refused > 170
    assert others < 5


@pytest.mark.check
def test_an_exported_network_is_refused_or_runs(tmp_path: Path) -> None:
    """Numbers of weights are not compared; files with numbers in other files are refused (`test_onnx_file`)."""
    refused, _ = judged("onnx", save_onnx, tmp_path, 200)
    assert refused > 120
