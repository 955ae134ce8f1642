"""Vectors of places from rasters of embeddings: numbers by hand, AlphaEarth's form either way up, refusals."""

from pathlib import Path

import geopandas
import numpy as np
import pandas
import pytest
import rasterio
from affine import Affine
from shapely import Point, box

from agrifm.cli import main
from agrifm.errors import MapError
from agrifm.grid import Window
from agrifm.mapping.embedding_raster import ALPHAEARTH, EMBEDDING_TAG, open_embedding, vectors_of_places

UTM = "EPSG:32631"
LEFT, TOP = 500_000, 5_500_000
SHAPE = 20, 30
UNSEEN = slice(0, 4), slice(0, 5)


def stored(bands: int) -> np.ndarray:
    numbers = np.random.default_rng(7).integers(-127, 128, (bands, *SHAPE)).astype(np.int8)
    numbers[:, *UNSEEN] = -128
    return numbers


def write(path: Path, numbers: np.ndarray, names, scales=None, upwards: bool = False, **more) -> Path:
    transform = Affine(10, 0, LEFT, 0, -10, TOP)
    if upwards:
        transform, numbers = Affine(10, 0, LEFT, 0, 10, TOP - 10 * SHAPE[0]), numbers[:, ::-1]
    profile = {"driver": "GTiff", "dtype": "int8", "count": len(numbers), "height": SHAPE[0], "width": SHAPE[1],
               "crs": UTM, "transform": transform, "nodata": -128, **more}  # fmt: skip
    with rasterio.open(path, "w", **profile) as target:
        target.write(numbers)
        target.descriptions = tuple(names)
        if scales is not None:
            target.scales = tuple(scales)
            target.update_tags(**{EMBEDDING_TAG: "0" * 64})
    return path


def ours(path: Path) -> tuple[Path, np.ndarray]:
    numbers, scales = stored(3), np.array([0.01, 0.5, 2.0])
    write(path, numbers, ("V00", "V01", "V02"), scales)
    return path, np.where(numbers == -128, np.nan, numbers * scales[:, None, None])


@pytest.mark.parametrize("upwards", [False, True])
def test_alphaearth_s_numbers_are_their_signed_squares(tmp_path: Path, upwards: bool) -> None:
    numbers = stored(64)
    raster = open_embedding(write(tmp_path / "a.tif", numbers, ALPHAEARTH, upwards=upwards))
    found = raster.read(Window(2, 3, 6, 7))
    part = numbers[:, 2:8, 3:10].astype(float)
    expected = np.where(part == -128, np.nan, np.sign(part) * (part / 127.5) ** 2)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    place = geopandas.GeoDataFrame(geometry=[Point(LEFT + 155, TOP - 105)], crs=UTM)
    np.testing.assert_allclose(
        vectors_of_places([raster], place)[0],
        np.sign(numbers[:, 10, 15]) * (numbers[:, 10, 15] / 127.5) ** 2,
        atol=1e-6,
    )


def test_points_and_polygons_have_the_numbers_of_their_pixels(tmp_path: Path) -> None:
    path, exact = ours(tmp_path / "e.tif")
    points = geopandas.GeoDataFrame(
        geometry=[Point(LEFT + 105, TOP - 55), Point(LEFT + 5, TOP - 5), Point(LEFT - 5, TOP)], crs=UTM
    ).to_crs(4326)
    found = vectors_of_places([open_embedding(path)], points)
    np.testing.assert_allclose(found[0], exact[:, 5, 10], rtol=1e-6)
    assert np.isnan(found[1:]).all()
    shapes = [
        box(LEFT + 100, TOP - 100, LEFT + 125, TOP - 80),  # half of a third column
        box(LEFT, TOP - 40, LEFT + 70, TOP),  # 5 of 7 columns are unseen
        box(LEFT, TOP - 60, LEFT + 50, TOP - 20),  # half is
    ]
    found = vectors_of_places([open_embedding(path)], geopandas.GeoDataFrame(geometry=shapes, crs=UTM))
    weights = np.array([1, 1, 0.5])
    expected = (exact[:, 8:10, 10:13] * weights).sum(axis=(1, 2)) / (2 * weights.sum())
    np.testing.assert_allclose(found[0], expected, rtol=1e-4)
    assert np.isnan(found[1]).all()
    np.testing.assert_allclose(found[2], exact[:, 4:6, 0:5].mean(axis=(1, 2)), rtol=1e-4)


def test_places_keep_their_columns_and_get_a_vector(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, exact = ours(tmp_path / "e.tif")
    places = geopandas.GeoDataFrame(
        {"crop": ["rye", "oats"]}, geometry=[Point(LEFT + 105, TOP - 55), Point(LEFT + 5, TOP - 5)], crs=UTM
    )
    places.to_file(tmp_path / "places.gpkg")
    command = [
        "embed",
        "places",
        str(tmp_path / "places.gpkg"),
        "--raster",
        str(path),
        "--out",
        str(tmp_path / "v.parquet"),
    ]
    assert main(command) == 0
    assert "1 of 2 places" in capsys.readouterr().out
    found = geopandas.read_parquet(tmp_path / "v.parquet")
    assert found["crop"].tolist() == ["rye", "oats"]
    np.testing.assert_allclose(found["embedding"][0], exact[:, 5, 10], rtol=1e-6)
    assert found["embedding"][1] is None
    assert main(command) == 0  # its file is replaced
    pandas.DataFrame({"mine": [1]}).to_parquet(tmp_path / "mine.parquet")
    before = (tmp_path / "mine.parquet").read_bytes()
    assert main([*command[:-1], str(tmp_path / "mine.parquet")]) == 2
    assert (tmp_path / "mine.parquet").read_bytes() == before
    assert main([*command[:-1], str(tmp_path / "v.csv")]) == 2


def test_places_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    path, _ = ours(tmp_path / "e.tif")
    inside = Point(LEFT + 105, TOP - 55)
    cases = {
        "elsewhere": geopandas.GeoDataFrame(geometry=[Point(LEFT - 5000, TOP)], crs=UTM),
        "mixed": geopandas.GeoDataFrame(geometry=[inside, inside.buffer(20)], crs=UTM),
        "column": geopandas.GeoDataFrame({"embedding": [1]}, geometry=[inside], crs=UTM),
    }
    for name, places in cases.items():
        places.to_file(tmp_path / f"{name}.gpkg")
        arguments = ["--raster", str(path), "--out", str(tmp_path / "out.parquet")]
        assert main(["embed", "places", str(tmp_path / f"{name}.gpkg"), *arguments]) == 2
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize("name", ["bytes", "names", "nodata", "absent", "text"])
def test_other_rasters_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "other.tif"
    if name == "bytes":
        write(path, stored(64).view(np.uint8), ALPHAEARTH, dtype="uint8", nodata=255)
    elif name == "names":
        write(path, stored(64), [f"B{number}" for number in range(64)])
    elif name == "nodata":
        write(path, stored(64), ALPHAEARTH, nodata=0)
    elif name == "text":
        path.write_text("no raster")
    with pytest.raises(MapError) as error:
        open_embedding(path)
    assert error.value.facts["path"] == path
