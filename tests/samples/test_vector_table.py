"""Places with vectors as labelled sets, and in a comparison."""

from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely

from agrifm.classic.table_rows import kept_table_rows
from agrifm.errors import LabelError
from agrifm.samples.vector_table import read_vector_table
from agrifm.train.combination import COMBINATIONS
from agrifm.train.compare import compare
from agrifm.train.learners import LEARNERS, VECTOR_PARTS

CLASSES = np.array(["maize", "wheat", "rice"])


def vectors(noise: float, places: int = 90, numbers: int = 6) -> np.ndarray:
    rng = np.random.default_rng(4)
    middle = np.repeat(np.eye(3, numbers), places // 3, axis=0)
    return (middle + noise * rng.standard_normal((places, numbers))).astype(np.float32)


def written(path: Path, rows: list[list[float] | None], crs: str | None = "EPSG:32633") -> Path:
    """Places 1 km apart on a UTM grid, in ten columns that can be blocks."""
    number = np.arange(len(rows))
    frame = geopandas.GeoDataFrame(
        {"crop": CLASSES[number // (len(rows) // 3)], "strip": number % 10, "embedding": rows},
        geometry=shapely.points(500_000 + 5000 * (number % 10), 5_400_000 + 1000 * (number // 10)),
        crs=crs,
    )
    frame.to_parquet(path)
    return path


def test_vectors_labels_and_places_are_those_of_the_file(tmp_path: Path):
    values = vectors(0.1)
    rows: list[list[float] | None] = values.tolist()
    rows[7] = None
    table = read_vector_table(written(tmp_path / "v.parquet", rows), "crop", block="strip")
    assert len(table) == 89
    assert any("1 of 90" in note for note in table.notes)
    features = kept_table_rows(table, table.sensors, 1, VECTOR_PARTS)
    np.testing.assert_array_equal(features, np.delete(values, 7, axis=0))
    assert [entry.code for entry in table.legend.classes] == ["maize", "rice", "wheat"]
    assert len(np.unique(table.block)) == 10
    # the central meridian of zone 33 is at 15 degrees; 5,400 km north of the equator is at 48.75 degrees
    assert table.lon[0] == pytest.approx(15.0, abs=1e-6)
    assert table.lat[0] == pytest.approx(48.75, abs=0.01)


@pytest.mark.filterwarnings("ignore:.*converge.*")
def test_our_vectors_and_others_are_compared_on_the_same_places(tmp_path: Path):
    """Vectors that tell the classes apart win over vectors that hardly do, in the same folds; a network is named."""
    for name, noise in (("clear", 0.15), ("noisy", 1.5)):
        written(tmp_path / f"{name}.parquet", vectors(noise).tolist())
    (tmp_path / "compare.toml").write_text(
        'models = ["logistic", "support-vectors", "lightgbm", "minirocket", "agrifm"]\nfolds = 3\n'
        + "".join(
            f'[[sets]]\nname = "{name}"\nvectors = "{name}.parquet"\nlabel = "crop"\nblock = "strip"\n'
            for name in ("clear", "noisy")
        )
    )
    content = compare(tmp_path, LEARNERS, COMBINATIONS)
    found = {(row["set"], row["model"]): row for row in content["results"]}
    for model in ("logistic", "support-vectors"):
        assert found["clear", model]["macro_f1"] > 0.97
        assert found["noisy", model]["macro_f1"] < 0.75
    assert found["clear", "agrifm"]["failure"]
    counts = [{row["model"]: row["failure"] is None for row in content["results"] if row["set"] == name} for name in
              ("clear", "noisy")]  # fmt: skip
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    ("label", "rows", "crs", "fact"),
    [
        ("species", None, "EPSG:32633", "column"),
        ("crop", [[0.0, 1.0]] * 89 + [[0.0]], "EPSG:32633", "lengths"),
        ("crop", [[0.0, 1.0]] * 89 + [[0.0, float("nan")]], "EPSG:32633", "row"),
        ("crop", [None] * 90, "EPSG:32633", "lengths"),
        ("crop", None, None, "path"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(
    label: str, rows: list[list[float] | None] | None, crs: str | None, fact: str, tmp_path: Path
):
    file = written(tmp_path / "v.parquet", vectors(0.1).tolist() if rows is None else rows, crs)
    with pytest.raises(LabelError) as error:
        read_vector_table(file, label)
    assert fact in error.value.facts


def test_another_file_is_refused(tmp_path: Path):
    (tmp_path / "v.parquet").write_bytes(b"no parquet")
    with pytest.raises(LabelError):
        read_vector_table(tmp_path / "v.parquet", "crop")
