"""A catalogue around any place, and a project whose area there is divided into tiles."""

from datetime import datetime
from pathlib import Path

import numpy as np
from pyproj import Transformer
from shapely import Polygon
from shapely.geometry import mapping
from tests.scenes import S2_KEYS, Catalogue, s2_numbers

from agrifm.config import Project, read_project

DAYS = (datetime(2024, 4, 1, 10), datetime(2024, 8, 1, 10))
PIXELS = 480
"""Sides of scenes, pixels of 10 m."""


def catalogue_around(directory: Path, longitude: float, latitude: float, crs: str) -> Catalogue:
    """Two clear scenes of Sentinel-2 of 4.8 x 4.8 km, in a UTM zone that may be the one next to the place."""
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(longitude, latitude)
    left, top = round(x / 480) * 480 - 2400, round(y / 480) * 480 + 2400
    edges = [(left, top - 4800), (left + 4800, top - 4800), (left + 4800, top), (left, top)]
    corners = [Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(*edge) for edge in edges]
    catalogue = Catalogue(directory)
    for number, day in enumerate(DAYS):
        draw = np.random.default_rng(number)
        coarse = draw.integers(300, 4000, (10, PIXELS // 12, PIXELS // 12))
        values = coarse.repeat(12, 1).repeat(12, 2) + draw.integers(0, 300, (10, PIXELS, PIXELS))
        pixels = {**dict(zip(S2_KEYS, s2_numbers(values), strict=True)), "scl": np.full((PIXELS, PIXELS), 4, np.uint8)}
        catalogue.add(
            "sentinel-2-c1-l2a",
            f"scene{number}",
            day,
            pixels,
            square=(left, top, 4800),
            crs=crs,
            properties={"s2:processing_baseline": "05.10"},
            geometry=mapping(Polygon(corners)),  # its edges may jump from 180 to -180
        )
    return catalogue


def tiled_project(
    directory: Path, area: tuple[float, float, float, float], tiles: str = "2", more: str = ""
) -> Project:
    """A project file with the area as a box, next to `catalog.json` of a catalogue."""
    (directory / "agrifm.toml").write_text(
        f"[season]\narea = {list(area)}\nstart = 2024-03-01\nend = 2024-09-30\ntiles = {tiles}\n{more}\n"
        '[imagery]\nproducts = ["sentinel-2-c1-l2a"]\ncatalog = "catalog.json"\n[labels]\nfile = "labels.gpkg"\n'
        '[model]\nside = 48\n[map]\nmodel = "classic"\n',
        encoding="utf-8",
    )
    return read_project(directory)
