"""Stores in the layout of TESSERA's embeddings, as its library documents it."""

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
import zarr
from pyproj import Transformer

from agrifm.cli import main
from agrifm.errors import MapError
from agrifm.mapping.embedding_raster import vectors_of_places
from agrifm.mapping.tessera_store import is_tessera, open_tessera

K, SIDE = 128, 64
YEARS = (2023, 2024)


def zone(store: Path, number: int, east: float, north: float, seed: int, code: str | None = None) -> zarr.Group:
    """A zone of 64 x 64 pixels whose upper left corner is there."""
    rng = np.random.default_rng(seed)
    group = zarr.open_group(store, mode="a", zarr_format=3).create_group(f"utm{number:02d}")
    shape = (len(YEARS), K, SIDE, SIDE)
    embeddings = group.create_array(
        "embeddings", shape=shape, dtype="int8", chunks=(1, K, 32, 32), shards=(1, K, 64, 64)
    )
    embeddings[:] = rng.integers(-127, 128, shape, dtype=np.int8)
    scales = rng.uniform(0.03, 0.12, (len(YEARS), SIDE, SIDE)).astype(np.float32)
    scales[:, :, :4] = np.inf  # nothing has been written
    scales[:, :4, 4:] = np.nan  # water
    group.create_array("scales", shape=scales.shape, dtype="float32", chunks=(1, 32, 32))[:] = scales
    axes = {"time": np.array(YEARS, np.int32), "band": np.arange(K, dtype=np.int32)}
    axes |= {"x": east + 10 * (np.arange(SIDE) + 0.5), "y": north - 10 * (np.arange(SIDE) + 0.5)}
    for name, values in axes.items():
        group.create_array(name, shape=values.shape, dtype=values.dtype, chunks=values.shape)[:] = values
    group.attrs["proj:code"] = code or f"EPSG:{32600 + number}"
    return group


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Zones 31 and 32 on both sides of 6 degrees east, and zone 36 south of the equator."""
    path = tmp_path / "tessera.zarr"
    zone(path, 31, 716_000, 5_400_320, 1)
    zone(path, 32, 284_000, 5_400_320, 2)
    zone(path, 36, 500_000, -1_000_000, 3)
    return path


def middle(code: int, east: float, north: float, row: int, col: int) -> shapely.Point:
    """The middle of a pixel, in degrees."""
    to_degrees = Transformer.from_crs(code, 4326, always_xy=True)
    return shapely.Point(to_degrees.transform(east + 10 * (col + 0.5), north - 10 * (row + 0.5)))


def expected(store: Path, number: int, year: int, row: int, col: int) -> np.ndarray[Any, Any]:
    group: Any = zarr.open_group(store / f"utm{number:02d}", mode="r")
    at = YEARS.index(year)
    vector: np.ndarray[Any, Any] = group["embeddings"][at, :, row, col] * group["scales"][at, row, col]
    return vector


def test_points_of_several_zones_have_the_vectors_of_their_pixels_and_year(store: Path):
    assert is_tessera(store)
    points = [
        middle(32631, 716_000, 5_400_320, 20, 30),
        middle(32632, 284_000, 5_400_320, 50, 9),
        middle(32636, 500_000, -1_000_000, 10, 63),  # south of the equator
        middle(32631, 716_000, 5_400_320, 20, 1),  # nothing has been written
        middle(32631, 716_000, 5_400_320, 2, 40),  # water
        shapely.Point(20.0, 10.0),  # of no zone of the store
    ]
    places = geopandas.GeoDataFrame(geometry=points, crs=4326)
    found = vectors_of_places(open_tessera(store, 2024, places), places)
    assert found.shape == (6, K)
    np.testing.assert_allclose(found[0], expected(store, 31, 2024, 20, 30), rtol=1e-5)
    np.testing.assert_allclose(found[1], expected(store, 32, 2024, 50, 9), rtol=1e-5)
    np.testing.assert_allclose(found[2], expected(store, 36, 2024, 10, 63), rtol=1e-5)
    assert np.isnan(found[3:]).all()
    earlier = vectors_of_places(open_tessera(store, 2023, places), places)
    np.testing.assert_allclose(earlier[0], expected(store, 31, 2023, 20, 30), rtol=1e-5)


def test_a_polygon_has_the_mean_of_its_pixels(store: Path):
    square = shapely.box(716_000 + 100, 5_400_320 - 120, 716_000 + 120, 5_400_320 - 100)  # four whole pixels
    places = geopandas.GeoDataFrame(geometry=[square], crs=32631)
    found = vectors_of_places(open_tessera(store, 2024, places), places)[0]
    pixels = [expected(store, 31, 2024, row, col) for row in (10, 11) for col in (10, 11)]
    np.testing.assert_allclose(found, np.mean(pixels, axis=0), atol=1e-4)


def test_the_command_writes_the_vectors_of_a_year(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    places = geopandas.GeoDataFrame({"crop": ["maize"]}, geometry=[middle(32631, 716_000, 5_400_320, 20, 30)], crs=4326)
    places.to_file(tmp_path / "places.gpkg")
    out = tmp_path / "vectors.parquet"
    command = ["embed", "places", str(tmp_path / "places.gpkg"), "--raster", str(store), "--out", str(out)]
    assert main([*command, "--year", "2023"]) == 0
    vector = geopandas.read_parquet(out).embedding[0]
    np.testing.assert_allclose(vector, expected(store, 31, 2023, 20, 30), rtol=1e-5)
    assert main(command) == 2  # two years, and none is named
    assert "2023, 2024" in capsys.readouterr().err


def test_what_cannot_be_read_is_refused(store: Path):
    there = geopandas.GeoDataFrame(geometry=[middle(32631, 716_000, 5_400_320, 20, 30)], crs=4326)
    for year in (None, 2020):
        with pytest.raises(MapError) as error:
            open_tessera(store, year, there)
        assert error.value.facts["years"] == YEARS
    elsewhere = geopandas.GeoDataFrame(geometry=[shapely.Point(-100, 40)], crs=4326)
    with pytest.raises(MapError) as error:
        open_tessera(store, 2024, elsewhere)
    assert error.value.facts["zones"] == "utm31, utm32, utm36"


def test_a_damaged_zone_is_refused(tmp_path: Path):
    there = geopandas.GeoDataFrame(geometry=[middle(32631, 716_000, 5_400_320, 20, 30)], crs=4326)
    path = tmp_path / "lacking.zarr"
    del zone(path, 31, 716_000, 5_400_320, 1)["scales"]
    with pytest.raises(MapError) as error:
        open_tessera(path, 2024, there)
    assert error.value.facts["missing"] == ("scales",)
    path = tmp_path / "upside-down.zarr"
    group: Any = zone(path, 31, 716_000, 5_400_320, 1)
    group["y"][:] = group["y"][:][::-1]
    with pytest.raises(MapError) as error:
        open_tessera(path, 2024, there)
    assert error.value.facts["shape"] == (2, K, SIDE, SIDE)
    path = tmp_path / "cut.zarr"
    zone(path, 31, 716_000, 5_400_320, 1)
    for shard in (path / "utm31" / "embeddings" / "c").rglob("*"):
        if shard.is_file():
            shard.write_bytes(shard.read_bytes()[:100])
    with pytest.raises(MapError):
        vectors_of_places(open_tessera(path, 2024, there), there)
