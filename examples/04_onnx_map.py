"""A trained network exported to ONNX maps an area where PyTorch is not installed.

Data: `flanders_multisource_2018` under AGRIFM_DATA (default ../shared/data), with the area and fields of the first
example. Training and exporting run as separate commands. This program never imports PyTorch: it opens the cube and the
ONNX file, predicts window by window with onnxruntime, and writes the map's GeoTIFFs. Then `agrifm map` makes the same
map with PyTorch, in another process, and the two are compared.

    pip install 'agrifm[deep,export]'; python examples/04_onnx_map.py OUT
"""

import argparse
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray

from agrifm.cube.fetch import fetch
from agrifm.cube.store import open_cube
from agrifm.inference.onnx import open_exported
from agrifm.mapping.run import map_cube

DATA = Path(os.environ.get("AGRIFM_DATA", "../shared/data")) / "flanders_multisource_2018"
MIN_AGREEMENT = 0.999
"""Share of the pixels in which both maps have the same class."""
MAX_DIFFERENCE_PERCENT = 1
"""Largest difference of their confidence."""


def main() -> None:
    """Fetch, train and export; map by onnxruntime; compare with the map by PyTorch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=40, help="training steps")
    options = parser.parse_args()
    if not DATA.exists():
        raise SystemExit(f"the data are expected at {DATA}; set AGRIFM_DATA to the folder that holds them")
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    first = runpy.run_path(str(Path(__file__).with_name("01_two_sensors_flanders.py")))
    project = first["write_project"](out, first["prepare"](out), 0, options.steps)
    fetch(project)
    weights, graph = project.models / "agrifm.safetensors", out / "agrifm.onnx"
    agrifm("train", "--project", out)
    agrifm("model", "export", weights, graph)

    model = open_exported(graph)
    side = model.exported.side
    summary = map_cube(open_cube(project.cube), model, model.exported.weights, out / "onnx-map", side, 0)
    assert "torch" not in sys.modules, "this program maps without PyTorch"

    agrifm("map", "--project", out, "--out", out / "pytorch-map")
    compare(summary.path, out / "pytorch-map")


def agrifm(*words: str | Path) -> None:
    """Run a command of agrifm in another process."""
    subprocess.run([sys.executable, "-m", "agrifm", *map(str, words)], check=True)


def compare(ours: Path, theirs: Path) -> None:
    """Print how well two maps agree; fail if they do not agree well enough."""
    classes, other_classes = (read(path / "classes.tif") for path in (ours, theirs))
    percent, other_percent = (read(path / "confidence.tif").astype(int) for path in (ours, theirs))
    known = (classes != 255) | (other_classes != 255)
    agreement = float((classes == other_classes)[known].mean())
    apart = int(np.abs(percent - other_percent)[known].max())
    print(f"{known.sum()} pixels: same class in {agreement:.4%}, confidence at most {apart} percent apart; {ours}")
    if agreement < MIN_AGREEMENT or apart > MAX_DIFFERENCE_PERCENT:
        raise SystemExit(f"expected {MIN_AGREEMENT:.1%} and {MAX_DIFFERENCE_PERCENT} percent; look into it")


def read(path: Path) -> NDArray[np.uint8]:
    """Read the first band (H, W), bytes."""
    with rasterio.open(path) as source:
        band: NDArray[np.uint8] = source.read(1)
    return band


if __name__ == "__main__":
    main()
