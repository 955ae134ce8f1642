"""Projects around small catalogues of any product, and the command line that fetches them."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import numpy as np
from tests.scenes import AREA, Catalogue, reflectance, s2_numbers

from agrifm.scene.products import find_product


def add_scene(catalogue: Catalogue, product: str, name: str, moment: datetime, **more: object) -> None:
    """One scene of an optical product, all bands over the square, clear everywhere."""
    record = find_product(product)
    hls = record.quality_asset == "Fmask"
    values = reflectance(len(record.assets), 32 if hls else 96)
    numbers = values.astype(np.int16) if hls else s2_numbers(values)
    clear = np.full(numbers.shape[1:], 0 if hls else 4, np.uint8)
    pixels = {**dict(zip(record.assets.values(), numbers, strict=True)), str(record.quality_asset): clear}
    properties = {} if hls else {"s2:processing_baseline": "05.10"}
    catalogue.add(record.collection, name, moment, pixels, nodata=None, properties={**properties, **more})


def saved(catalogue: Catalogue) -> Path:
    """Write a catalogue; returns a catalog.json beside which its images lie."""
    return catalogue.save()


def write_project(directory: Path, imagery: str, products: Iterable[str], area: str | None = None) -> Path:
    """A project file; returns its directory."""
    directory.mkdir(parents=True, exist_ok=True)
    names = ", ".join(f'"{name}"' for name in products)
    (directory / "agrifm.toml").write_text(
        f"[season]\narea = {area or list(AREA.bounds)}\nstart = 2024-03-01\nend = 2024-09-30\n"
        f'[imagery]\nproducts = [{names}]\n{imagery}\n[labels]\nfile = "labels.gpkg"\n'
    )
    return directory
