"""A stored table is the table, and its digest changes with everything that decides a model."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from tests.samples.tables import series_table

from agrifm.errors import LabelError
from agrifm.legend import Legend
from agrifm.samples.table_store import store_table, stored_table, table_digest

TABLE = replace(
    series_table(),
    fold=np.tile(np.array([-1, 0, 1], np.int8), 40),
    weight=np.linspace(1, 2, 120, dtype=np.float32),
    static={"altitude": np.linspace(0, 900, 120, dtype=np.float32)},
)


def test_a_stored_table_comes_back_as_it_was(tmp_path: Path) -> None:
    store_table(tmp_path / "t.npz", TABLE)
    found = stored_table(tmp_path / "t.npz")
    assert found.legend == TABLE.legend
    assert (found.place, found.season_days) == (TABLE.place, TABLE.season_days)
    for name in ("label", "season_start", "lon", "lat", "block", "fold", "weight"):
        np.testing.assert_array_equal(getattr(found, name), getattr(TABLE, name))
        assert getattr(found, name).dtype == getattr(TABLE, name).dtype
    for field in fields(TABLE.series["sentinel-2"]):
        np.testing.assert_array_equal(
            getattr(found.series["sentinel-2"], field.name), getattr(TABLE.series["sentinel-2"], field.name)
        )
    np.testing.assert_array_equal(found.static["altitude"], TABLE.static["altitude"])
    assert table_digest(found) == table_digest(TABLE)


def test_the_digest_tells_tables_apart_and_ignores_notes() -> None:
    series = TABLE.series["sentinel-2"]
    values = series.values.copy()
    values[3, 2, 1] += 1e-4
    others = [
        replace(TABLE, label=np.roll(TABLE.label, 1)),
        replace(TABLE, block=TABLE.block + 1),
        replace(TABLE, legend=Legend.of(["a", "b", "c"])),
        replace(TABLE, fold=None),
        replace(TABLE, season_days=241),
        replace(TABLE, series={"sentinel-2": replace(series, values=values)}),
        replace(TABLE, series={"sentinel-2": replace(series, input=series.input.model_copy(update={"scale": 1e-3}))}),
    ]
    assert len({table_digest(table) for table in (TABLE, *others)}) == 8
    assert table_digest(replace(TABLE, notes=("a note",))) == table_digest(TABLE)


@pytest.mark.parametrize("content", [b"", b"PK", b"text"])
def test_a_damaged_table_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.npz").write_bytes(content)
    with pytest.raises(LabelError) as error:
        stored_table(tmp_path / "t.npz")
    assert error.value.facts["path"] == tmp_path / "t.npz"
