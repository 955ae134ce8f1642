"""Parcels whose labels were exchanged are ranked first by models of other blocks, on a small cube."""

from pathlib import Path

import geopandas
import numpy as np
import pytest
from tests.toy import CLASSES, toy_project

from agrifm.config import Project, read_project
from agrifm.train.label_check import check_labels

FLIPPED = 13
"""5 % of 256 parcels."""


def flipped_project(directory: Path, noise: int = 0) -> tuple[Project, set[int]]:
    """A cube of 256 fields of three classes, and the rows (from 1) of the labels that were given another class."""
    toy_project(directory, names='"classic"')
    file = directory / "labels.gpkg"
    fields = geopandas.read_file(file)
    generator = np.random.default_rng(noise)
    rows = generator.choice(len(fields), FLIPPED, replace=False)
    number = np.array([CLASSES.index(code) for code in fields["crop"]])
    number[rows] = (number[rows] + generator.integers(1, 3, FLIPPED)) % 3
    fields["crop"] = [CLASSES[one] for one in number]
    # a row without a class first: rows are those of the file, and not of the labelled shapes
    first = geopandas.GeoDataFrame({"crop": [None]}, geometry=[fields.geometry[0].buffer(-30)], crs=fields.crs)
    geopandas.pd.concat([first, fields], ignore_index=True).to_file(file)
    return read_project(directory), {int(row) + 2 for row in rows}


@pytest.mark.check
def test_exchanged_labels_of_parcels_are_ranked_first(tmp_path: Path) -> None:
    project, wrong = flipped_project(tmp_path)
    lines = check_labels(project, tmp_path / "doubtful.gpkg")
    found = geopandas.read_file(tmp_path / "doubtful.gpkg")
    doubted = found["row"][found["kind"] == "label"].tolist()
    right = len(wrong & set(doubted))
    print(f"precision {right / len(doubted):.2f}, recall {right / len(wrong):.2f}")
    assert right >= 0.9 * len(wrong)
    assert right >= 0.8 * len(doubted)
    assert set(doubted[:10]) <= wrong
    shapes = geopandas.read_file(tmp_path / "labels.gpkg").geometry
    assert all(found.geometry[at].equals(shapes[row - 1]) for at, row in enumerate(found["row"]))
    assert any(f"{len(doubted)} likely wrong" in line for line in lines)


def test_without_a_cube_it_is_said_that_labels_are_not_ranked(tmp_path: Path) -> None:
    project, _ = flipped_project(tmp_path)
    project.cube.rename(tmp_path / "elsewhere.zarr")
    lines = check_labels(project, tmp_path / "doubtful.gpkg")
    assert any("not ranked" in line for line in lines)
    assert any(" 0 likely wrong" in line for line in lines)


@pytest.mark.parametrize("block", [1920 * 4])
def test_one_block_cannot_judge_itself(tmp_path: Path, block: int) -> None:
    project, _ = flipped_project(tmp_path)
    file = tmp_path / "agrifm.toml"
    file.write_text(file.read_text().replace("block = 480", f"block = {block}"))
    lines = check_labels(read_project(project.directory), tmp_path / "doubtful.gpkg")
    assert any("not ranked" in line for line in lines)
