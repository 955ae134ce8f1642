"""BreizhCrops: parcels of a small copy of its layout, in both orders in which its columns were written."""

from pathlib import Path

import geopandas
import h5py
import numpy as np
import pytest
from shapely.geometry import box

from agrifm.errors import LabelError
from agrifm.samples.public.breizhcrops import read_breizhcrops
from agrifm.samples.public.registry import PUBLIC_SETS

SPECTRAL = ["B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12", "QA10", "QA20", "QA60"]
LEXICAL = ["B1", "B10", "B11", "B12", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "QA10", "QA20", "QA60"]
CROP = {
    "B1": 1300, "B2": 1000, "B3": 900, "B4": 700, "B5": 1100, "B6": 2500, "B7": 3000, "B8": 3200, "B8A": 3400,
    "B9": 1100, "B10": 15, "B11": 2000, "B12": 1100, "QA10": 0, "QA20": 0, "QA60": 0,
}  # fmt: skip
"""Top-of-atmosphere digital numbers of a green crop; the cirrus band reflects next to nothing."""
L2A = ["doa", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12", "CLD", "EDG", "SAT"]
NOON = np.array(["2017-03-01T12:00", "2017-06-01T12:00", "2017-06-01T12:00"], "datetime64[ns]").astype(np.int64)


def rows_of(columns: list[str], **changed: float) -> np.ndarray:
    """Three observations with `doa` last; the second one has a cloud."""
    numbers = {**CROP, **changed}
    rows = np.array([[float(numbers[name]) for name in columns] for _ in range(3)])
    rows[1, columns.index("QA60")] = 1024
    return np.column_stack([rows, NOON])


def write_classes(folder: Path) -> None:
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "codes.csv").write_text("Code Culture;Libellé Culture\nORH;Orge d'hiver\n")
    (folder / "classmapping.csv").write_text(
        ",id,classname,code\n0,0,barley,ORH\n1,0,barley,ORP\n2,1,wheat,BTH\n3,2,corn,MIE\n"
    )


def write_set(folder: Path, columns: list[str] = LEXICAL, regions: tuple[str, ...] = ("frh01", "frh03")) -> Path:
    """Four rows a region: barley, corn, a crop outside the mapping, and wheat without observations."""
    write_classes(folder)
    level = folder / "2017" / "L1C"
    level.mkdir(parents=True)
    for region in regions:
        with h5py.File(level / f"{region}.h5", "w") as file:
            file["csv/1.csv"] = rows_of(columns)
            file["csv/2.csv"] = rows_of(columns, B8=4000)
            file["csv/3.csv"] = rows_of(columns)
        (level / f"{region}.csv").write_text(
            ",CODE_CULTU,path,meanQA60,id,sequencelength,classid,classname\n"
            "0,ORP,csv/1.csv,0,1,3,0,barley\n1,MIE,csv/2.csv,0,2,3,2,corn\n"
            "2,XXX,csv/3.csv,0,3,3,,\n3,BTH,csv/4.csv,0,4,0,1,wheat\n"
        )
    return folder


@pytest.mark.parametrize("columns", [SPECTRAL, LEXICAL], ids=["spectral", "lexical"])
def test_bands_are_the_same_in_both_orders_of_columns(tmp_path: Path, columns: list[str]) -> None:
    table = read_breizhcrops(write_set(tmp_path, columns)).table
    assert table is not None
    series = table.series["sentinel-2"]
    assert series.input.quantity == "top-of-atmosphere reflectance"
    expected = [CROP[name] / 1e4 for name in ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")]
    np.testing.assert_allclose(series.values[0, 0], expected, rtol=1e-6)
    assert series.valid[0].tolist() == [True, False, True]
    assert series.values[table.place.index("frh01/2"), 0, 6] == pytest.approx(0.4)


def test_dates_classes_and_folds_are_those_of_the_files(tmp_path: Path) -> None:
    content = read_breizhcrops(write_set(tmp_path))
    table = content.table
    assert table is not None
    days = np.array(["2017-03-01", "2017-06-01", "2017-06-01"], "datetime64[D]").astype(int)
    assert table.series["sentinel-2"].date[0].tolist() == days.tolist()
    assert [entry.name for entry in table.legend.classes] == ["barley", "wheat", "corn"]
    assert table.label.tolist() == [0, 2, 0, 2]
    assert {part: fold.tolist() for part, fold in content.folds["official"].items()} == {
        "train": [0, 1],
        "validation": [2, 3],
    }
    assert sum("outside classmapping.csv" in note for note in content.notes) == 2
    assert sum("no observation" in note for note in content.notes) == 2


def test_places_are_those_of_the_shapefile(tmp_path: Path) -> None:
    folder = write_set(tmp_path, regions=("frh01",))
    # Lambert 93, whose origin is at longitude 3 and latitude 46.5 with x = 700 km and y = 6600 km
    shapes = [box(700_000 + 5_000 * at, 6_600_000, 700_100 + 5_000 * at, 6_600_100) for at in range(2)]
    geopandas.GeoDataFrame({"ID": [2, 1]}, geometry=shapes, crs="EPSG:2154").to_file(folder / "2017" / "frh01.shp")
    table = read_breizhcrops(folder).table
    assert table is not None
    second = table.place.index("frh01/2")
    assert (table.lon[second], table.lat[second]) == pytest.approx((3.0, 46.5), abs=0.002)
    assert table.block[0] != table.block[1]


def test_an_order_that_the_cirrus_band_does_not_show_is_refused(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    path = folder / "2017" / "L1C" / "frh01.h5"
    with h5py.File(path, "w") as file:
        for name in ("csv/1.csv", "csv/2.csv"):
            file[name] = rows_of(LEXICAL, B10=600)
    with pytest.raises(LabelError) as caught:
        read_breizhcrops(folder)
    assert caught.value.facts["path"] == path


def test_surface_reflectance_is_read_with_its_quality(tmp_path: Path) -> None:
    write_classes(tmp_path)
    level = tmp_path / "2018" / "L2A"
    level.mkdir(parents=True)
    row = [0.0, 300, 600, 400, 900, 2400, 3000, 3100, 3300, 2000, 1000, 0, 0, 0]
    rows = np.array([row, row, row])
    rows[:, 0] = NOON
    rows[1, L2A.index("CLD")] = 2
    with h5py.File(level / "belle-ile.h5", "w") as file:
        file["csv/7.csv"] = rows
    (level / "belle-ile.csv").write_text(",CODE_CULTU,path,meanCLD,id,sequencelength\n0,BTH,csv/7.csv,0,7,3\n")
    content = read_breizhcrops(tmp_path)
    assert content.table is not None
    series = content.table.series["sentinel-2"]
    assert series.input.quantity == "surface reflectance"
    np.testing.assert_allclose(series.values[0, 0], np.array(row[1:11]) / 1e4, rtol=1e-6)
    assert series.valid[0].tolist() == [True, False, True]
    assert content.folds == {}


def test_two_versions_need_a_choice(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    (folder / "2018" / "L2A").mkdir(parents=True)
    (folder / "2018" / "L2A" / "frh01.h5").touch()
    with pytest.raises(LabelError) as caught:
        read_breizhcrops(folder)
    assert caught.value.facts["found"] == [(2017, "L1C"), (2018, "L2A")]
    assert len(read_breizhcrops(folder, year=2017)) == 4


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    path = folder / "2017" / "L1C" / "frh03.h5"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(LabelError) as caught:
        read_breizhcrops(folder)
    assert caught.value.facts["path"] == path


def test_a_class_mapping_with_a_wrong_number_is_named(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    path = folder / "classmapping.csv"
    path.write_text(path.read_text().replace("2,1,wheat", "2,1B,wheat"))
    with pytest.raises(LabelError) as caught:
        read_breizhcrops(folder)
    assert caught.value.facts["path"] == path


def test_a_parcel_of_the_index_without_its_series_is_named(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    path = folder / "2017" / "L1C" / "frh03.h5"
    with h5py.File(path, "a") as file:
        del file["csv/2.csv"]
    with pytest.raises(LabelError) as caught:
        read_breizhcrops(folder)
    assert (caught.value.facts["path"], caught.value.facts["dataset"]) == (path, "csv/2.csv")


def test_an_absent_index_is_named(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    with pytest.raises(LabelError) as caught:
        read_breizhcrops(folder, regions=["frh02"])
    assert caught.value.facts["path"] == folder / "2017" / "L1C" / "frh02.csv"


def test_no_other_reader_recognises_the_folder(tmp_path: Path) -> None:
    folder = write_set(tmp_path)
    assert [name for name, reader in PUBLIC_SETS.items() if reader.recognises(folder)] == ["breizhcrops"]
