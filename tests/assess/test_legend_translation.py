"""`agrifm legend translate` counts what it translates, and names what it cannot, with its area or count."""

import csv
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from affine import Affine
from shapely import box

from agrifm.assess.legend_translation import translate_file
from agrifm.errors import LabelError, OutputError


def parcels(folder: Path) -> Path:
    """Three parcels of 100 m by 100 m in France: two of common wheat and one that has no translation."""
    shapes = [box(500_000 + 200 * i, 5_200_000, 500_100 + 200 * i, 5_200_100) for i in range(3)]
    frame = geopandas.GeoDataFrame({"CODE_GROUP": ["1", "1", "28"]}, geometry=shapes, crs="EPSG:32631")
    frame.to_file(folder / "rpg.gpkg")
    return folder / "rpg.gpkg"


def read_rows(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row["code"]: row for row in csv.DictReader(file)}


def test_labels_are_counted_and_those_without_translation_named(tmp_path: Path) -> None:
    lines = translate_file(parcels(tmp_path), "rpg", "hcat3", tmp_path / "classes.csv", "CODE_GROUP")
    rows = read_rows(tmp_path / "classes.csv")
    assert rows["1"]["to_code"] == "3301010100"
    assert rows["1"]["shapes"] == "2"
    assert float(rows["1"]["hectares"]) == pytest.approx(2.0, rel=2e-3)  # on the ground 1 / 0.9996² of UTM's metres
    assert (rows["28"]["to_code"], rows["28"]["relation"]) == ("", "none")
    assert any("28" in line and "1 shapes, 1.0 ha" in line for line in lines)


def test_labels_keep_their_columns_beside_the_translation(tmp_path: Path) -> None:
    out = tmp_path / "hcat3.gpkg"
    for _ in range(2):  # the second time it replaces its own file
        translate_file(parcels(tmp_path), "rpg", "hcat3", out, "CODE_GROUP")
    frame = geopandas.read_file(out)
    assert frame["CODE_GROUP"].tolist() == ["1", "1", "28"]
    assert frame["hcat3"].tolist()[:2] == ["3301010100"] * 2
    assert frame["hcat3"].isna().tolist() == [False, False, True]
    assert frame["hcat3_name"][0] == "common_soft_wheat"


def test_a_file_of_others_is_not_replaced(tmp_path: Path) -> None:
    file = parcels(tmp_path)
    before = file.read_bytes()
    with pytest.raises(OutputError):
        translate_file(file, "rpg", "hcat3", file, "CODE_GROUP")
    (tmp_path / "notes.csv").write_text("my,notes\n")
    with pytest.raises(OutputError):
        translate_file(file, "rpg", "hcat3", tmp_path / "notes.csv", "CODE_GROUP")
    assert file.read_bytes() == before
    assert (tmp_path / "notes.csv").read_text() == "my,notes\n"


def test_a_raster_is_translated_with_its_hectares(tmp_path: Path) -> None:
    codes = np.array([[1, 1, 5], [5, 26, 26]], np.uint8)
    with rasterio.open(
        tmp_path / "cdl.tif", "w", driver="GTiff", height=2, width=3, count=1, dtype="uint8", crs="EPSG:5070",
        transform=Affine(30, 0, 0, 0, -30, 60),
    ) as file:  # fmt: skip
        file.write(codes, 1)
    lines = translate_file(tmp_path / "cdl.tif", "cdl", "fao-icc", tmp_path / "classes.csv")
    rows = read_rows(tmp_path / "classes.csv")
    assert (rows["1"]["to_code"], rows["5"]["to_code"], rows["26"]["to_code"]) == ("12", "41", "")
    assert float(rows["26"]["hectares"]) == pytest.approx(0.18)
    assert any("26" in line and "0.2 ha" in line for line in lines)


def test_a_legend_is_translated_with_its_own_names(tmp_path: Path) -> None:
    (tmp_path / "legend.csv").write_text("code,name,color\n1101060000,Mais,#ff0000\n1101010000,Weizen,#00ff00\n")
    translate_file(tmp_path / "legend.csv", "ewoc", "cdl", tmp_path / "classes.csv")
    rows = read_rows(tmp_path / "classes.csv")
    assert (rows["1101060000"]["name"], rows["1101060000"]["to_name"]) == ("Mais", "Corn")
    assert rows["1101010000"]["relation"] == "none"  # the CDL has wheat by season only


@pytest.mark.parametrize(
    ("column", "source", "fact"), [("CODE_GROUP", "cdl2", "legend"), ("CODE_GROUP", "ewoc", "legend")]
)
def test_a_wrong_legend_is_refused(tmp_path: Path, column: str, source: str, fact: str) -> None:
    with pytest.raises(LabelError) as error:
        translate_file(parcels(tmp_path), source, "hcat3", None, column)
    assert error.value.facts[fact] == source


def test_a_missing_column_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(LabelError) as error:
        translate_file(parcels(tmp_path), "rpg", "hcat3", None, "CODE_GROUPE")
    assert error.value.facts["columns"] == ["CODE_GROUP"]
