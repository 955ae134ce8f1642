"""One known reflectance written through the convention of every product, and read back from a cube."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.scenes import AREA, SEASON, Catalogue, at

from agrifm.cube.build import build_cube
from agrifm.cube.store import Cube
from agrifm.errors import SceneError
from agrifm.grid import Window
from agrifm.scene.offset_check import OffsetChoice
from agrifm.scene.products import PRODUCTS, Product, find_product
from agrifm.scene.search import search_catalog
from agrifm.scene.search_result import SearchResult
from agrifm.scene.stac_items import scene_of


@dataclass(frozen=True)
class Convention:
    """How a provider's handbook turns a quantity into digital numbers, written out here once more."""

    scale: float
    offset: float
    dtype: str
    fill: int
    clear: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    """Quality asset -> value that means clear land, data type."""
    known: float = 0.0321
    low: float = -0.005
    low_is_valid: bool = True


SCL, BITS = {"scl": (4, "uint8")}, {"qa_pixel": (1 << 6, "uint16")}
FMASK, STATE = {"Fmask": (0, "uint8")}, {"sur_refl_state_500m": (0b1000, "uint16")}
UPPER_SCL = {"SCL": (4, "uint8")}
ESA = Convention(1e-4, -0.1, "uint16", 0, UPPER_SCL)
USGS = Convention(2.75e-5, -0.2, "uint16", 0, BITS, low_is_valid=False)
HLS = Convention(1e-4, 0, "int16", -9999, FMASK)
MODIS = Convention(1e-4, 0, "int16", -28672, STATE)
CONVENTIONS = {
    "sentinel-2-c1-l2a": Convention(1e-4, -0.1, "uint16", 0, SCL),
    "sentinel-2-l2a-earth-search": Convention(1e-4, -0.1, "uint16", 0, SCL),
    "sentinel-2-l2a-earth-search-v0": ESA,
    "sentinel-2-l2a-planetary-computer": ESA,
    "sentinel-2-l2a-cdse": Convention(1e-4, -0.1, "uint16", 0, {"SCL_20m": (4, "uint8")}),
    "landsat-c2-l2": USGS,
    "landsat-c2-l2-planetary-computer": USGS,
    "landsat-c2-l2-usgs": USGS,
    "hls-l30-planetary-computer": HLS,
    "hls-s30-planetary-computer": HLS,
    "hls-l30-nasa-cmr": HLS,
    "hls-s30-nasa-cmr": HLS,
    "modis-09A1-061": MODIS,
    "modis-09A1-061-qc": Convention(1e-4, 0, "int16", -28672, {**STATE, "sur_refl_qc_500m": (0, "uint32")}),
    "modis-13Q1-061": Convention(
        1e-4,
        0,
        "int16",
        -3000,
        {"250m_16_days_pixel_reliability": (0, "int8"), "250m_16_days_VI_Quality": (0, "uint16")},
    ),
    "sentinel-2-worldcereal": Convention(1e-4, 0, "uint16", 0, UPPER_SCL, low=0.0005),
    "sentinel-2-force": Convention(1e-4, 0, "int16", -9999, {"QAI": (0, "int16")}),
    "landsat-force": Convention(1e-4, 0, "int16", -9999, {"QAI": (0, "int16")}),
    "landsat-c2-l2-st-usgs": Convention(0.00341802, 149, "uint16", 0, BITS, 300.0, 260.0),
    "landsat-8-c1-worldcereal": Convention(1e-4, 0, "uint16", 0, {"pixel_qa": (0b10, "uint16")}, low=0.0005),
    "sentinel-1-worldcereal": Convention(1e-4, 0, "int32", 0, known=-12.34, low=-31.2),
    "landsat-8-st-worldcereal": Convention(1, 0, "uint16", 0, {"QA_PIXEL": (1 << 6, "uint16")}, 300.0, 260.0),
    "modis-13Q1-dtwsat": Convention(1e-4, 0, "int16", -32768),
    "cbers-4-awfi-16d": Convention(1e-4, 0, "int16", -9999),
}
E_FLAG = "earthsearch:boa_offset_applied"
NAME = "S2A_MSIL2A_20240501T105031_N{}_R051_T31UDQ_20240501T140000"


def cases(product: Product) -> list[tuple[dict[str, Any], float]]:
    """Properties on both sides of every border of the product's rule, and the offset that is in the numbers."""
    if product.offset_from_baseline is None:
        return [({}, CONVENTIONS[product.name].offset)]
    both = [({"s2:processing_baseline": baseline}, -0.1) for baseline in ("04.00", "05.10")]
    both += [({"sentinel:product_id": NAME.format("0301")}, 0.0)]
    for flag in product.offset_flags:
        both += [
            ({"s2:processing_baseline": "05.10", flag: True}, 0.0),
            ({"s2:processing_baseline": "05.10", flag: False}, -0.1),
            ({"s2:processing_baseline": "03.01", flag: False}, 0.0),
            ({flag: True}, 0.0),
        ]
    return both


def quantity(band: int, value: float) -> float:
    """What the ground has in a band: bands differ, so that swapped ones show."""
    return value + (0.01 * band if abs(value) < 1 else 0)


def numbers(rule: Convention, band: int, offset: float) -> np.ndarray:
    """8 x 8 digital numbers: upper left never seen, right of it the known value, below it the low one."""
    low = rule.low if offset != 0 or rule.dtype != "uint16" else max(rule.low, 0.0005)
    plane = np.empty((8, 8), np.int64)
    plane[:4] = np.rint((quantity(band, rule.known) - offset) / rule.scale)
    plane[4:] = np.rint((quantity(band, low) - offset) / rule.scale)
    plane[:4, :4] = rule.fill
    return plane.astype(rule.dtype)


def search(
    directory: Path, product: Product, stated: list[tuple[dict[str, Any], float]], lie: float = 0.0
) -> SearchResult:
    """A scene per case, a day apart from the next; `lie` is added to what the numbers hold."""
    rule, catalogue, found = CONVENTIONS[product.name], Catalogue(directory), SearchResult()
    for case, (properties, offset) in enumerate(stated):
        pixels = {key: numbers(rule, band, offset + lie) for band, key in enumerate(product.assets.values())}
        pixels |= {key: np.full((8, 8), value, kind) for key, (value, kind) in rule.clear.items()}
        if product.day_asset is not None:
            pixels[product.day_asset] = np.full((8, 8), (at(5, 1) - at(1, 1)).days + 1 + 20 * case, np.int16)
        moment = at(5, 1) + timedelta(days=20 * case)
        made = catalogue.add(product.collection, f"S{case}", moment, pixels, nodata=None, properties=properties)
        found.scenes.append(scene_of(made, product, 3.0))
    return found


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)
def test_a_known_quantity_comes_back_from_every_products_convention(tmp_path: Path, product: Product) -> None:
    rule, stated = CONVENTIONS[product.name], cases(product)
    cube = build_cube(tmp_path / "cube.zarr", search(tmp_path, product, stated), SEASON, AREA)
    sensor = cube.sensors[product.sensor]
    rows, cols = sensor.grid.shape
    image, valid, _ = sensor.read(Window(0, 0, rows, cols))
    upper, lower = rows // 4, 3 * rows // 4
    for frame, (_, offset) in enumerate(stated):
        low = rule.low if offset != 0 or rule.dtype != "uint16" else max(rule.low, 0.0005)
        assert not valid[frame, upper, cols // 4]
        assert valid[frame, upper, 3 * cols // 4]
        assert valid[frame, lower, cols // 4] == (rule.low_is_valid or low > 0)
        for band in range(len(product.bands)):
            half = 0.006 if abs(rule.known) > 1 else 0.00006
            known, dark = quantity(band, rule.known), quantity(band, low)
            assert image[frame, band, upper, 3 * cols // 4] == pytest.approx(known, abs=half)
            if valid[frame, lower, cols // 4]:
                assert image[frame, band, lower, cols // 4] == pytest.approx(dark, abs=half)
    frames = cube.provenance["sensors"][product.sensor]["frames"]
    assert [one["offsets"] for one in frames] == [[offset] for _, offset in stated]
    assert all(one["encodings"][0].startswith(f"offset {one['offsets'][0]:g}") for one in frames)


def test_the_provenance_says_what_decided_each_offset(tmp_path: Path) -> None:
    product = find_product("sentinel-2-l2a-earth-search")
    stated = [({"s2:processing_baseline": "05.10"}, -0.1), ({"s2:processing_baseline": "05.10", E_FLAG: True}, 0.0)]
    cube = build_cube(tmp_path / "cube.zarr", search(tmp_path, product, stated), SEASON, AREA)
    frames = cube.provenance["sensors"]["sentinel-2"]["frames"]
    assert [one["encodings"][0] for one in frames] == [
        "offset -0.1 from processing baseline 05.10; its pixels agree",
        f"offset 0, removed by the provider ({E_FLAG}); its pixels agree",
    ]
    assert [date.fromisoformat(one["day"]) for one in frames] == [date(2024, 5, 1), date(2024, 5, 21)]


def test_a_lie_writes_nothing_and_the_projects_choice_is_kept_in_the_cube(tmp_path: Path) -> None:
    """The flag says removed, the numbers still hold the 1000."""
    product = find_product("sentinel-2-l2a-earth-search")
    lie = search(tmp_path, product, [({E_FLAG: True}, 0.0)], lie=-0.1)
    path = tmp_path / "cube.zarr"
    with pytest.raises(SceneError, match="scene S0"):
        build_cube(path, lie, SEASON, AREA)
    assert not list(tmp_path.glob("cube*"))
    (frame,) = build_cube(path, lie, SEASON, AREA, offset="pixels").provenance["sensors"]["sentinel-2"]["frames"]
    assert frame["offsets"] == [-0.1]
    assert frame["encodings"][0].startswith("offset -0.1 from its pixels")
    assert E_FLAG in frame["encodings"][0]
    (frame,) = build_cube(path, lie, SEASON, AREA, offset="metadata").provenance["sensors"]["sentinel-2"]["frames"]
    assert frame["offsets"] == [0.0]
    assert frame["encodings"][0].endswith('`offset` = "metadata"')


LIES = {
    "flag says removed, but it was not": (
        {"s2:processing_baseline": "05.10", E_FLAG: True},
        1000,
        "still in",
        -0.1,
    ),
    "flag says not removed, but it was": (
        {"s2:processing_baseline": "05.10", E_FLAG: False},
        0,
        "removed already",
        0.0,
    ),
    "baseline too old": ({"s2:processing_baseline": "03.01"}, 1000, "still in", -0.1),
    "baseline too new": ({"s2:processing_baseline": "04.00"}, 0, "removed already", 0.0),
    "taken off twice": ({E_FLAG: True}, -1000, "100%", None),
    "taken off twice, flag says not removed": (
        {"s2:processing_baseline": "05.10", E_FLAG: False},
        -1000,
        "twice",
        None,
    ),
    "added twice": ({"s2:processing_baseline": "05.10"}, 2000, "twice", None),
    "added twice, flag says removed": ({E_FLAG: True}, 2000, "still in", None),
    "baseline missing": ({}, 1000, "baseline", None),
}
"""By lie: properties of the item, what is added to 10000 times reflectance, a word of the diagnosis, and the offset by
the pixels; None if they do not decide."""


def field_and_soil(product: Product, added: int) -> dict[str, np.ndarray]:
    """Digital numbers, 8 x 8: a green field (red 0.04) on the left, soil (blue 0.07) on the right; they end at 0."""
    pixels = {}
    for band, key in enumerate(product.assets.values()):
        plane = np.full((8, 8), 700 + 250 * band)
        plane[:, :4] = 2500 if band > 2 else 400
        pixels[key] = np.maximum(plane + added, 0).astype(np.uint16)
    return {**pixels, "scl": np.repeat(np.array([[4, 5]], np.uint8), 4, 1).repeat(8, 0)}


@pytest.mark.parametrize(("properties", "added", "said", "told"), LIES.values(), ids=LIES)
def test_every_known_lie_is_refused_and_settled_only_where_pixels_can(
    tmp_path: Path, properties: dict[str, Any], added: int, said: str, told: float | None
) -> None:
    product, catalogue, path = find_product("sentinel-2-l2a-earth-search"), Catalogue(tmp_path), tmp_path / "cube.zarr"
    pixels = field_and_soil(product, added)
    catalogue.add(product.collection, "S", at(5, 1), pixels, nodata=None, properties=properties)
    top = catalogue.save()

    def built(offset: OffsetChoice) -> Cube:
        return build_cube(path, search_catalog(top, [product], SEASON, AREA), SEASON, AREA, offset=offset)

    with pytest.raises(SceneError) as caught:
        built("refuse")
    assert said in str(caught.value)
    assert "scene S" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("cube*"))
    if told is None:
        with pytest.raises(SceneError, match=r"fit neither|baseline"):
            built("pixels")
        assert not path.exists()
        return
    cube = built("pixels")
    image, valid, _ = cube.sensors["sentinel-2"].read(Window(0, 0, 96, 96))
    assert valid.all()
    assert image[0, 0, 0, 95] == pytest.approx(0.07, abs=0.00006)
    (frame,) = cube.provenance["sensors"]["sentinel-2"]["frames"]
    assert frame["offsets"] == [told]
    assert frame["encodings"][0].startswith(f"offset {told:g} from its pixels")
