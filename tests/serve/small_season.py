"""A finished season of known pixels, its server, and requests to it as bytes."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any
from unittest.mock import patch

import numpy as np
from tests.mapping.small_parcels import LEGEND, small_map, small_parcels
from tests.toy import toy_project

from agrifm.config import ParcelsConfig, Project
from agrifm.cube.store import open_cube
from agrifm.grid import tiles
from agrifm.legend import LEGEND_TAG, legend_json
from agrifm.mapping import parcels
from agrifm.mapping.cog import TILE_SIDE, CogWriter
from agrifm.page_address import LOOPBACK
from agrifm.pictures import class_colors
from agrifm.serve.run import PointsToLabel, open_port, page_of, page_server

BANDS = ("B02", "B03", "B04", "B08")
UNSEEN = slice(0, 30), slice(0, 30)
"""Corner of the map without a class."""
REPORT = {
    "probability_sample": True,
    "design": {"method": "stratified", "strata": "classes of the map"},
    "confusion": {"codes": list(LEGEND.codes), "counts": [[8, 2, 0], [1, 9, 0], [0, 0, 10]]},
    "districts": [{"code": "North", "points": 1, "mapped_ha": 12.0, "overall_accuracy": None, "areas": None}],
    "trust": {"sentence": "About 9 of 10 hectares of the map are right."},
}


def small_season(directory: Path, count: int = 49) -> Project:
    """A project with cube, map, parcels and report."""
    project = toy_project(directory, bands=BANDS)
    grid = open_cube(project.cube).target
    stored, _ = small_map(project.maps, grid, unseen=UNSEEN)
    known = stored[0] != 255
    tags = {LEGEND_TAG: legend_json(LEGEND)}
    classes = np.where(known, stored.argmax(axis=0), 255).astype(np.uint8)
    confidence = np.where(known, np.rint(stored.max(axis=0) / 2.5), 255).astype(np.uint8)
    for name, pixels, colors in (("classes", classes, class_colors(LEGEND)), ("confidence", confidence, {})):
        with CogWriter(project.maps / f"{name}.tif", grid, name, tags if colors else {}, "MODE", colors) as writer:
            for tile in tiles(grid.shape, TILE_SIDE):
                writer.write(tile, pixels[tile.slices])
        writer.finish()
    item = json.loads((project.maps / "item.json").read_text())
    pixels = np.bincount(classes[known], minlength=3)
    item["properties"] = {"agrifm:hectares": dict(zip(LEGEND.codes, (pixels / 100).tolist(), strict=True))}
    (project.maps / "item.json").write_text(json.dumps(item))
    small_parcels(grid, count).to_file(directory / "parcels.gpkg")
    with patch.object(parcels, "write_parcel_picture"):
        parcels.map_parcels(ParcelsConfig(file=directory / "parcels.gpkg"), project.maps, project.parcel_crops)
    (directory / "report").mkdir()
    (directory / "report" / "report.json").write_text(json.dumps(REPORT))
    return project


@contextmanager
def served(directory: Path, to_label: PointsToLabel | None = None, explainer: Any = None) -> Iterator[int]:
    """The port of a running server of a project, or of a page that was written as files."""
    with open_port(LOOPBACK, 0) as opened:
        server = page_server(page_of(directory, to_label=to_label, explainer=explainer).app(LOOPBACK))
        thread = Thread(target=server.run, kwargs={"sockets": [opened]}, daemon=True)
        thread.start()
        try:
            yield opened.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


def send(port: int, content: bytes, patience: float = 60) -> bytes:
    """Everything that the server answers to some bytes, until it closes the connection."""
    with socket.create_connection((LOOPBACK, port), patience) as connection:
        connection.sendall(content)
        parts = []
        while part := connection.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


def request(
    port: int, path: str, body: bytes | None = None, host: str = LOOPBACK, headers: tuple[str, ...] = ()
) -> tuple[int, bytes, dict[str, str]]:
    """Status, content and headers of an answer; the path is sent as it is, and so are further lines of the head."""
    head = f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
    head += "".join(f"{line}\r\n" for line in headers)
    length = "" if body is None else f"Content-Length: {len(body)}\r\n"
    answer = send(port, f"{head}{length}\r\n".encode() + (body or b""))
    start, _, content = answer.partition(b"\r\n\r\n")
    status, *lines = start.decode("latin-1").split("\r\n")
    return int(status.split()[1]), content, dict(line.lower().split(": ", 1) for line in lines)
