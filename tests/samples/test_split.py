"""Blocks and folds: places kept apart, whole parcels in one fold, never random pixels."""

from pathlib import Path

import geopandas
import numpy as np
import pytest
from affine import Affine
from shapely import Point, box
from tests.scenes import LEFT, TOP, UTM, lonlat

from agrifm.errors import LabelError
from agrifm.grid import Grid
from agrifm.samples.labels import Labels, read_labels
from agrifm.samples.split import FOLDS, Split, split_blocks

SIDE = 384
GRID = Grid.of(UTM, Affine(10, 0, LEFT, 0, -10, TOP), (SIDE, SIDE))
AREA = lonlat(box(LEFT, TOP - 10 * SIDE, LEFT + 10 * SIDE, TOP))
BLOCK, PIXELS = 480, 48


def make_labels(directory: Path, step: int = 20, size: int = 14, folds: bool = False, other: bool = False) -> Labels:
    """Square fields of `size` pixels every `step` pixels, of three crops; many cross the edges of blocks."""
    rng = np.random.default_rng(4)
    places = [(row, col) for row in range(0, SIDE - size, step) for col in range(0, SIDE - size, step)]
    shapes = [
        box(LEFT + 10 * col, TOP - 10 * (row + size), LEFT + 10 * (col + size), TOP - 10 * row) for row, col in places
    ]
    frame = geopandas.GeoDataFrame({"crop": rng.choice(["a", "b", "c"], len(shapes))}, geometry=shapes, crs=UTM)
    if folds:
        frame["fold"] = rng.choice(FOLDS, len(shapes))
    frame.to_parquet(directory / "labels.parquet")
    land = None
    if other:
        land = directory / "other.parquet"
        geopandas.GeoDataFrame(geometry=[AREA], crs="EPSG:4326").to_parquet(land)
    return read_labels(
        directory / "labels.parquet", "crop", GRID, AREA, other=land, fold_column="fold" if folds else None
    )


@pytest.fixture
def labels(tmp_path: Path) -> Labels:
    return make_labels(tmp_path)


def blocks_of(array: np.ndarray, pixels: int = PIXELS) -> np.ndarray:
    """(blocks, pixels of a block)."""
    count = SIDE // pixels
    return array.reshape(count, pixels, count, pixels).swapaxes(1, 2).reshape(count * count, -1)


def test_every_pixel_of_a_parcel_is_in_one_fold_and_one_block(labels: Labels) -> None:
    split = split_blocks(labels, BLOCK, 0)
    across = 0
    for place in range(len(labels.places)):
        own = labels.place == place
        assert len(np.unique(split.fold[own])) == 1
        assert len(np.unique(split.block[own])) == 1
        assert (split.fold[own] == split.place_fold[place]).all()
        across += len(np.unique(np.argwhere(own) // PIXELS, axis=0)) > 1
    assert across > 50  # the test would be empty if no field lay across an edge


def test_a_parcel_belongs_to_the_block_of_its_representative_point(labels: Labels) -> None:
    split = split_blocks(labels, BLOCK, 0)
    free = labels.place < 0
    for place in range(0, len(labels.places), 7):
        point = labels.places.geometry[place].representative_point()
        row, col = int((TOP - point.y) / 10 / PIXELS), int((point.x - LEFT) / 10 / PIXELS)
        block = np.zeros((SIDE, SIDE), bool)
        block[row * PIXELS : (row + 1) * PIXELS, col * PIXELS : (col + 1) * PIXELS] = True
        assert set(split.block[block & free]) == set(split.block[labels.place == place])


def test_ground_without_parcels_is_divided_into_squares_not_pixels(labels: Labels) -> None:
    split = split_blocks(labels, BLOCK, 0)
    free = blocks_of(labels.place < 0)
    for fold, block, own in zip(blocks_of(split.fold), blocks_of(split.block), free, strict=True):
        assert len(np.unique(fold[own])) == 1
        assert len(np.unique(block[own])) == 1
    numbers = [np.unique(block[own])[0] for block, own in zip(blocks_of(split.block), free, strict=True)]
    assert len(set(numbers)) == (SIDE // PIXELS) ** 2


def test_the_side_of_blocks_is_what_was_asked_for(labels: Labels) -> None:
    split = split_blocks(labels, 960, 0)
    assert len(np.unique(split.block)) == 16


def test_folds_get_their_shares_of_the_blocks(labels: Labels) -> None:
    """64 blocks: 15 % are 9.6, 30 % are 19.2."""
    split = split_blocks(labels, BLOCK, 0)
    free = labels.place < 0
    counts = [len(np.unique(split.block[free & (split.fold == fold)])) for fold in range(3)]
    assert counts == [35, 10, 19]


def test_each_class_is_shared_out_in_about_the_same_proportions(labels: Labels) -> None:
    split = split_blocks(labels, BLOCK, 0)
    number = labels.places["number"].to_numpy()
    for crop in range(3):
        shares = [np.mean(split.place_fold[number == crop] == fold) for fold in range(3)]
        assert shares == pytest.approx([0.55, 0.15, 0.30], abs=0.08)


def test_the_same_seed_gives_the_same_folds_and_another_seed_others(labels: Labels) -> None:
    first, again, other = (split_blocks(labels, BLOCK, seed) for seed in (5, 5, 6))
    assert (first.fold == again.fold).all()
    assert (first.fold != other.fold).any()


def test_labels_of_one_fold_are_masked_everywhere_else(tmp_path: Path) -> None:
    labels = make_labels(tmp_path, other=True)
    split = split_blocks(labels, BLOCK, 0)
    parts = [split.label_of(labels, fold) for fold in FOLDS]
    known = np.stack([part != 255 for part in parts])
    assert (known.sum(axis=0) == (labels.label != 255)).all()
    assert (np.minimum.reduce(parts) == labels.label).all()
    assert list(split.blocks) == list(FOLDS)
    assert sum(split.blocks.values()) == 64


def test_folds_in_the_labels_are_kept(tmp_path: Path) -> None:
    labels = make_labels(tmp_path, folds=True)
    split = split_blocks(labels, BLOCK, 0)
    expected = [FOLDS.index(name) for name in labels.places["fold"]]
    assert split.place_fold.tolist() == expected
    inside = labels.place >= 0
    assert (split.fold[inside] == np.array(expected)[labels.place[inside]]).all()
    # Each field is then one block for the uncertainty between blocks.
    assert len(np.unique(split.block[inside])) == len(labels.places)


def test_an_unknown_fold_is_refused(tmp_path: Path) -> None:
    labels = make_labels(tmp_path, folds=True)
    labels.places.loc[3, "fold"] = "holdout"
    with pytest.raises(LabelError, match="'holdout'"):
        split_blocks(labels, BLOCK, 0)


@pytest.mark.parametrize("fold", ["train", "test"])
def test_a_fold_of_a_single_class_is_refused(tmp_path: Path, fold: str) -> None:
    labels = make_labels(tmp_path, folds=True)
    labels.places.loc[labels.places["number"] > 0, "fold"] = "test" if fold == "train" else "train"
    with pytest.raises(LabelError) as error:
        split_blocks(labels, BLOCK, 0)
    assert error.value.facts == {"fold": fold}


def test_one_block_for_everything_is_refused(labels: Labels) -> None:
    with pytest.raises(LabelError, match="smaller blocks"):
        split_blocks(labels, 480 * 100, 0)


def test_few_blocks_still_give_training_and_test_both_classes(tmp_path: Path) -> None:
    labels = make_labels(tmp_path)
    for seed in range(5):
        split: Split = split_blocks(labels, 1920, seed)  # four blocks
        counts = [len(np.unique(split.block[(labels.place < 0) & (split.fold == fold)])) for fold in range(3)]
        assert counts == [2, 1, 1]
        assert set(np.unique(split.label_of(labels, "test"))) == {0, 1, 2, 255}


def test_points_follow_the_block_they_lie_in(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    at = rng.integers(0, 10 * SIDE, (400, 2))
    points = [Point(LEFT + x, TOP - y - 0.5) for x, y in at]
    frame = geopandas.GeoDataFrame({"crop": rng.choice(["a", "b"], 400)}, geometry=points, crs=UTM)
    frame.to_parquet(tmp_path / "points.parquet")
    labels = read_labels(tmp_path / "points.parquet", "crop", GRID, AREA)
    split = split_blocks(labels, BLOCK, 0)
    for fold in blocks_of(split.fold):
        assert len(np.unique(fold)) == 1
