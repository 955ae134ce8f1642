"""The column of reference labels: named on the command line, in the project file, or by default."""

import geopandas as gpd
import numpy as np
import pytest
from tests.assess.rasters import CROPS, crop_map, write_points, write_raster

from agrifm.assess.reference_data import reference_config
from agrifm.cli import main
from agrifm.errors import ConfigError

PROJECT = """\
[season]
area = [4.0, 50.0, 4.1, 50.1]
start = 2024-03-01
end = 2024-09-30
[imagery]
catalog = "catalog.json"
products = ["sentinel-2-c1-l2a"]
[labels]
file = "labels.gpkg"
[assess]
column = "crop_seen"
"""


def test_the_label_column_comes_from_the_project_file_if_there_is_one(tmp_path):
    assert reference_config(tmp_path).column == "label"
    (tmp_path / "agrifm.toml").write_text(PROJECT)
    assert {reference_config(path).column for path in (tmp_path, tmp_path / "agrifm.toml")} == {"crop_seen"}
    with pytest.raises(ConfigError):
        reference_config(tmp_path / "absent.toml")


@pytest.mark.parametrize(("more", "column"), [((), "crop_seen"), (("--label", "other_column"), "other_column")])
def test_the_command_reads_the_column_of_the_project_file_by_default(tmp_path, more, column):
    (tmp_path / "agrifm.toml").write_text(PROJECT)
    values = crop_map()
    write_raster(tmp_path / "classes.tif", values, legend=CROPS, nodata=255)
    rows, cols = np.concatenate([np.argwhere(values == number)[:12] for number in range(3)]).T
    points = write_points(tmp_path / "points.gpkg", rows, cols, np.repeat(CROPS.codes, 12))
    gpd.read_file(points).rename(columns={"label": column}).to_file(points)
    paths = ["--map", tmp_path / "classes.tif", "--reference", points, "--out", tmp_path / "report"]
    assert main([str(word) for word in ("assess", *paths, "--project", tmp_path, *more)]) == 0
    assert f'"label": "{column}"' in (tmp_path / "report" / "report.json").read_text()
