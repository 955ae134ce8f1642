"""Hectares in a drawn polygon: counted by hand, corrected as in a paper's example, bounded."""

import json

import numpy as np
import pytest
import shapely
from tests.mapping.small_parcels import LEGEND, map_grid
from tests.serve.small_season import REPORT

from agrifm.grid import LONLAT, Window, reproject
from agrifm.legend import LEGEND_TAG, Legend, legend_json
from agrifm.mapping.cog import CogWriter
from agrifm.pictures import class_colors
from agrifm.serve import polygon_hectares
from agrifm.serve.map_layers import map_layers
from agrifm.serve.polygon_hectares import corrected, drawn_polygon, hectares_inside
from agrifm.serve.refusals import RefusedRequestError


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    """A layer of three classes, and its pixels."""
    folder, grid = tmp_path_factory.mktemp("map"), map_grid(96)
    pixels = np.random.default_rng(1).integers(0, 3, grid.shape).astype(np.uint8)
    pixels[:10] = 255
    tags = {LEGEND_TAG: legend_json(LEGEND)}
    with CogWriter(folder / "classes.tif", grid, "class", tags, "MODE", class_colors(LEGEND)) as writer:
        writer.write(Window(0, 0, 96, 96), pixels)
    writer.finish()
    return map_layers(folder, {})["classes"], pixels


def rectangle(grid, top, left, bottom, right):
    """A rectangle between pixels, in degrees."""
    corner = grid.transform
    box = shapely.box(corner.c + 10 * left, corner.f - 10 * bottom, corner.c + 10 * right, corner.f - 10 * top)
    return reproject(box, "EPSG:32631", LONLAT)


@pytest.mark.parametrize("side", [2048, 17])
def test_pixels_inside_are_counted_in_hectares(crops, monkeypatch, side):
    layer, pixels = crops
    monkeypatch.setattr(polygon_hectares, "READ_SIDE", side)
    found = hectares_inside(layer, rectangle(layer.grid, 5, 20, 60, 70))
    inside = pixels[5:60, 20:70]
    assert found["hectares"] == pytest.approx([(inside == number).sum() / 100 for number in range(3)])
    assert found["without_class"] == pytest.approx((inside == 255).sum() / 100)


def test_a_polygon_elsewhere_or_too_large_is_refused(crops, monkeypatch):
    layer, _ = crops
    with pytest.raises(RefusedRequestError) as error:
        hectares_inside(layer, shapely.box(10, 10, 11, 11))
    assert error.value.status == 422
    monkeypatch.setattr(polygon_hectares, "MOST_PIXELS", 1000)
    with pytest.raises(RefusedRequestError) as error:
        hectares_inside(layer, rectangle(layer.grid, 5, 20, 60, 70))
    assert error.value.status == 413


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{}", b"[]", b'{"outline": 3}', b'{"outline": [[0, 0], [1, 1]]}',
        b'{"outline": [[0, 0], [1, 1], [2, 2]]}',
        b'{"outline": [[0, 0], [1, 1], [1, 0], [0, 1]]}', b'{"outline": [[0, 0], [1, 1], [1e999, 0]]}',
        b'{"outline": [[0, 0], [1, 1], [NaN, 0]]}', b'{"outline": [[0, 0], [1, 91], [1, 0]]}',
        b'{"outline": ' + b"[" * 50_000, json.dumps({"outline": [[0, n / 1e4] for n in range(3000)]}).encode(),
    ],
)  # fmt: skip
def test_what_is_not_an_outline_is_refused(body):
    with pytest.raises(RefusedRequestError) as error:
        drawn_polygon(body)
    assert error.value.status == 422


def test_the_whole_map_corrected_is_the_published_estimate():
    """Olofsson et al. 2014, worked example: 235,086 ha of deforestation, with an interval of 68,418 ha on each side."""
    counts = [[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]]
    legend = Legend.of(["deforestation", "gain", "forest", "none"])
    report = {**REPORT, "confusion": {"codes": list(legend.codes), "counts": counts}}
    found = corrected(np.array([200e3, 150e3, 3.2e6, 6.45e6]), legend, report)
    assert found[0]["hectares"] == pytest.approx(235_086, abs=1)
    assert found[0]["low"] < 235_086 - 0.5 * 68_418
    assert 235_086 + 0.8 * 68_418 < found[0]["high"] < 235_086 + 1.7 * 68_418
    assert sum(one["hectares"] for one in found) == pytest.approx(10e6)


@pytest.mark.parametrize(
    "report",
    [
        None,
        {},
        {**REPORT, "probability_sample": False},
        {**REPORT, "confusion": {**REPORT["confusion"], "counts": [[8, 2], [1, 9, 0], [0, 0, 10]]}},
        {**REPORT, "confusion": "none"},
        {**REPORT, "design": {"method": "cluster"}},
        {**REPORT, "design": {"method": "stratified", "strata": "columns of the reference"}},
        {**REPORT, "confusion": {"codes": ["other"], "counts": [[3]]}},
        {**REPORT, "confusion": {**REPORT["confusion"], "counts": [[1, 0, 0], [1, 9, 0], [0, 0, 10]]}},
    ],
)
def test_without_such_points_there_are_no_estimates(report):
    assert corrected(np.array([5.0, 5.0, 5.0]), LEGEND, report) is None
