"""Tables of every kind of sensor from their numbers to scores: values in their unit, classic and AgriFM trained."""

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agrifm.config import read_project
from agrifm.samples.project_table import project_table
from agrifm.samples.table_info import samples_info
from agrifm.train.project import train_project

PLACES, DATES = 36, 8
COLUMNS = {
    "landsat-c2-l2": {"red": 9091, "nir08": 18182},
    "landsat-8-c1-worldcereal": {"B04": 700, "B05": 3000},
    "sentinel-1-worldcereal-amplitude": {"S1-SIGMA0-VV": 1000, "S1-SIGMA0-VH": 100},
    "sentinel-1-worldcereal": {"VV": -150_000, "VH": -210_000},
    "agera5-worldcereal": {"AGERA5-TMEAN": 29_315, "AGERA5-PRECIP": 1234},
    "modis-09A1-061": {"sur_refl_b01": 500, "sur_refl_b02": 4000},
    "terrain": {"elevation": 646, "slope": 3},
}
"""Numbers of a place's first date, as each product stores them."""
VALUES = {
    "landsat-c2-l2": ("landsat", [9091 * 2.75e-5 - 0.2, 18182 * 2.75e-5 - 0.2]),
    "landsat-8-c1-worldcereal": ("landsat", [0.07, 0.3]),
    "sentinel-1-worldcereal-amplitude": ("sentinel-1", [-23.0, -43.0]),  # 20 log10 DN - 83
    "sentinel-1-worldcereal": ("sentinel-1", [-15.0, -21.0]),
    "agera5-worldcereal": ("agera5", [293.15, 12.34]),
    "modis-09A1-061": ("modis", [0.05, 0.4]),
    "terrain": ("terrain", [646.0, 3.0]),
}
"""The same in their unit: reflectance, decibel, kelvin and millimetres, metres and degrees."""
PROJECT = """\
[season]
start = 2018-01-01
end = 2018-12-31
[labels]
series = "points.csv"
products = {products}
block = 4800
[model]
names = ["logistic", "agrifm"]
steps = 2
batch = 1
frames = 8
"""


def write_table(folder: Path, products: Sequence[str]) -> None:
    """Places of two classes in nine blocks; the numbers of the second are 1 % greater from the second date on."""
    rows = []
    for place in range(PLACES):
        wheat = place % 2
        for step in range(DATES):
            grown = 1 if step == 0 else 1 + 0.01 * wheat + 0.001 * step
            numbers = {
                column: number if name == "terrain" else round(number * grown)
                for name in products
                for column, number in COLUMNS[name].items()
            }
            where = {"longitude": 1 + 0.1 * (place // 4), "latitude": 47 + 0.001 * (place % 4)}
            day = date(2018, 2, 2) + timedelta(days=40 * step)
            rows.append({"sample_id": f"p{place}", "date": day, "label": ("maize", "wheat")[wheat], **where, **numbers})
    folder.mkdir(exist_ok=True)
    pd.DataFrame(rows).to_csv(folder / "points.csv", index=False)
    (folder / "agrifm.toml").write_text(PROJECT.format(products=list(products)))


def check(folder: Path, products: Sequence[str]) -> None:
    write_table(folder, products)
    project = read_project(folder)
    table = project_table(project)
    lines = samples_info(folder)
    for name in products:
        sensor, expected = VALUES[name]
        np.testing.assert_allclose(table.series[sensor].values[:, 0], [expected] * PLACES, rtol=1e-5)
        assert any(line.startswith(f"{sensor}: {', '.join(table.series[sensor].input.bands)} (") for line in lines)
    scores = train_project(project)
    for name in ("logistic", "agrifm"):
        assert 0 <= scores["models"][name]["macro_f1"] <= 1
    # of multiples of a number that grows differently a linear model knows the classes
    assert scores["models"]["logistic"]["macro_f1"] == 1


def test_several_sensors_weather_and_terrain_go_from_a_table_to_scores(tmp_path: Path) -> None:
    products = ["landsat-c2-l2", "sentinel-1-worldcereal-amplitude", "agera5-worldcereal", "terrain"]
    check(tmp_path, products)


@pytest.mark.check
@pytest.mark.parametrize("product", [name for name in COLUMNS if name != "terrain"])
def test_a_sensor_alone_goes_from_a_table_to_scores(tmp_path: Path, product: str) -> None:
    check(tmp_path, [product])
