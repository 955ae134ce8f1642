"""Which pixels are usable: the rule on flags, dilation in metres, and masks of the user's own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from affine import Affine
from tests.scenes import AREA, LEFT, SEASON, TOP, UTM, Catalogue, at, reflectance

from agrifm.cube import frames
from agrifm.cube.build import build_cube
from agrifm.errors import ConfigError, CubeError, SceneError
from agrifm.grid import Grid, Window
from agrifm.imagery_config import ImageryConfig
from agrifm.scene.local_files import search_dataset
from agrifm.scene.mask import MaskRule, apply_mask, count_flags, find_mask
from agrifm.scene.products import PRODUCTS, find_product
from agrifm.scene.quality import FLAGS, bits
from agrifm.scene.search import search_catalog
from agrifm.scene.search_result import SearchResult


def find(catalogue: Catalogue) -> SearchResult:
    return search_catalog(catalogue.save(), [find_product("sentinel-2-c1-l2a")], SEASON, AREA)


def flags_of(*names: str) -> np.ndarray:
    return np.array([bits([name] if name else []) for name in names])


def test_the_project_file_masks_by_default_what_the_rule_does() -> None:
    config = ImageryConfig(catalog="c.json", products=("x",))
    assert MaskRule(config.masked, config.dilate, config.masks) == MaskRule()


def test_tasks_choose_whether_snow_and_water_are_usable() -> None:
    flags = flags_of("", "snow", "water", "cloud", "nodata", "defective")
    assert MaskRule().usable(flags).tolist() == [True, False, True, False, False, False]
    assert MaskRule(("cloud", "water")).usable(flags).tolist() == [True, True, False, False, False, False]
    assert MaskRule(()).usable(flags).tolist() == [True, True, True, True, False, False]


@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        ({"masked": ("clouds",)}, "'clouds'; did you mean 'cloud'"),
        ({"masked": ("nodata",)}, "nodata"),
        ({"dilate": -1.0}, "from 0 to 10000"),
        ({"masked": ("cloud",), "dilate": 60.0}, "no effect"),
        ({"masked": ("snow", "cloud-edge"), "dilate": 60.0}, "no effect"),
        ({"masks": ("no-such-mask",)}, "'no-such-mask'"),
    ],
)
def test_a_rule_that_cannot_be_followed_is_refused(arguments: dict, fact: str) -> None:
    with pytest.raises(ConfigError, match=fact):
        MaskRule(**arguments)


def test_metres_mean_the_same_for_every_pixel_size() -> None:
    """Centres within 60 m of a cloud: six pixels of 10 m, two of 30 m, none of 480 m; a disc, not a square."""
    rule = MaskRule(dilate=60.0)
    for resolution, reach in ((10, 6), (30, 2), (480, 0)):
        flags = np.zeros((17, 17), np.uint16)
        flags[8, 8] = bits(["cloud"])
        row, col = np.indices(flags.shape) - 8
        unusable = np.hypot(row, col) <= reach
        assert (rule.usable(rule.dilated(flags, resolution)) == ~unusable).all()


def test_only_masked_clouds_cirrus_and_shadows_grow() -> None:
    rule = MaskRule(masked=("cloud", "cloud-edge", "snow"), dilate=10.0)
    for name in FLAGS:
        flags = np.zeros((3, 3), np.uint16)
        flags[1, 1] = bits([name])
        grown = rule.dilated(flags, 10)
        assert np.count_nonzero(grown & bits(["cloud-edge"])) == {"cloud": 4, "cloud-edge": 1}.get(name, 0), name


def test_counts_name_the_flags_that_pixels_have() -> None:
    flags = np.array([0, bits(["cloud"]), bits(["cloud", "water"]), bits(["nodata"])], np.uint16)
    assert count_flags(flags) == {"nodata": 1, "cloud": 2, "water": 1}


@pytest.fixture
def cloudy(tmp_path: Path) -> Catalogue:
    """A scene wider than the area on each side, at 20 m, with a few clouds and shadows; one is outside the area."""
    catalogue = Catalogue(tmp_path)
    rng = np.random.default_rng(3)
    scl = np.where(rng.random((96, 96)) < 0.01, 9, 4).astype(np.uint8)
    scl[rng.random((96, 96)) < 0.01] = 3
    scl[23, 40:50] = 8  # the row of 20 m just above the area
    wide = (LEFT - 480, TOP + 480, 1920)
    catalogue.add_sentinel_2("A", at(5, 1), reflectance(10, 96), scl=scl, square=wide)
    return catalogue


def test_dilation_does_not_depend_on_how_tiles_are_cut(cloudy: Catalogue) -> None:
    (frame,) = frames.group_frames(find(cloudy).scenes)
    grid = Grid.of(UTM, Affine(10, 0, LEFT, 0, -10, TOP), (96, 96))
    rule = MaskRule(dilate=75.0)
    whole = frames.read_frame(frame, grid, rule)
    assert 0.2 < whole.valid.mean() < 0.9
    assert not whole.valid[0, 32:52].any()  # the clouds above the area reach into it
    for side in (17, 40, 64):
        for row in range(0, 96, side):
            for col in range(0, 96, side):
                window = Window(row, col, min(side, 96 - row), min(side, 96 - col))
                part = frames.read_frame(frame, grid.window(window), rule)
                assert (part.valid == whole.valid[window.slices]).all()
                assert (part.flags == whole.flags[window.slices]).all()


def test_the_cube_counts_the_flags_of_every_frame_and_keeps_the_rule(cloudy: Catalogue) -> None:
    rule = MaskRule(masked=("cloud", "cloud-edge"), dilate=30.0)
    cube = build_cube(cloudy.directory / "cube.zarr", find(cloudy), SEASON, AREA, rule=rule)
    about = cube.provenance
    assert about["usable"]["masked"] == ["cloud", "cloud-edge"]
    assert about["usable"]["dilate"] == 30
    sensor = about["sensors"]["sentinel-2"]
    assert sensor["quality"] == {"scl": "scl"}
    (frame,) = sensor["frames"]
    valid = cube.sensors["sentinel-2"].group["valid"][0]
    assert set(frame["flags"]) == {"cloud", "cloud-edge", "shadow"}
    assert frame["flags"]["cloud"] + frame["flags"]["cloud-edge"] == (~valid).sum()


def test_another_rule_is_another_cube(cloudy: Catalogue) -> None:
    shares = []
    for masked in (("cloud", "shadow"), ("cloud",), ()):
        cube = build_cube(cloudy.directory / "c.zarr", find(cloudy), SEASON, AREA, rule=MaskRule(masked))
        shares.append(cube.sensors["sentinel-2"].group["valid"][0].mean())
    assert shares[0] < shares[1] < shares[2] == 1


def test_flags_of_several_quality_bands_are_joined(tmp_path: Path) -> None:
    product = replace(PRODUCTS["sentinel-2-worldcereal"], more_quality={"extra": "hls_fmask"})
    scl, extra = np.full((96, 96), 4), np.zeros((96, 96), int)
    scl[0, 0], extra[5, 7] = 9, 1 << 1
    numbers = reflectance(10, 96)
    x, y = LEFT + 5 + 10 * np.arange(96), TOP - 5 - 10 * np.arange(96)
    dims = ("time", "y", "x")
    planes = dict(zip(product.assets.values(), numbers, strict=True))
    data = {
        name: (dims, plane[None].astype(np.int32)) for name, plane in {**planes, "SCL": scl, "extra": extra}.items()
    }
    dataset = xr.Dataset(data, {"time": [np.datetime64("2024-05-01", "ns")], "y": y, "x": x})
    dataset = dataset.assign_attrs(crs=UTM)
    cube = build_cube(tmp_path / "c.zarr", search_dataset(dataset, product, SEASON), SEASON, AREA)
    valid = cube.sensors["sentinel-2"].group["valid"][0]
    assert np.argwhere(~valid).tolist() == [[0, 0], [5, 7]]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with masks of its own, installed for this process."""
    place = tmp_path / "site"
    (place / "bright_mask-1.0.dist-info").mkdir(parents=True)
    (place / "bright_mask-1.0.dist-info" / "METADATA").write_text("Name: bright-mask\nVersion: 1.0\n")
    (place / "bright_mask-1.0.dist-info" / "entry_points.txt").write_text(
        "[agrifm.masks]\ndim = bright_mask:dim\nodd = bright_mask:odd\nbroken = bright_mask:broken\n"
        "gone = bright_mask:gone\n"
    )
    (place / "bright_mask.py").write_text(
        "def dim(image, bands):\n    return image[bands.index('B02')] < 0.0550\n"
        "def odd(image, bands):\n    return image\n"
        "def broken(image, bands):\n    raise RuntimeError('no weights')\n"
    )
    monkeypatch.syspath_prepend(str(place))
    find_mask.cache_clear()


@pytest.mark.usefixtures("installed")
def test_a_mask_of_an_installed_package_is_applied_and_counted(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path)
    truth = reflectance(10, 96)  # of B02 in units of 0.0001: 400 + 3 row + 7 column
    catalogue.add_sentinel_2("A", at(5, 1), truth)
    cube = build_cube(tmp_path / "c.zarr", find(catalogue), SEASON, AREA, rule=MaskRule(masks=("dim",)))
    assert (cube.sensors["sentinel-2"].group["valid"][0] == (truth[0] < 550)).all()
    (frame,) = cube.provenance["sensors"]["sentinel-2"]["frames"]
    assert frame["flags"] == {"plug-in": int((truth[0] >= 550).sum())}


@pytest.mark.usefixtures("installed")
def test_masks_that_fail_or_give_no_truth_values_are_named() -> None:
    image = np.zeros((2, 4, 4), np.float32)
    for name, fact in (("odd", "float32 of shape"), ("broken", "RuntimeError: no weights")):
        with pytest.raises(SceneError, match=f"scene A.*'{name}'.*{fact}"):
            apply_mask(name, image, ("B02", "B03"), "reading scene A")
    with pytest.raises(ConfigError, match="'gone'"):
        MaskRule(masks=("gone",))
    with pytest.raises(ConfigError, match=r"'dam'.*broken.*odd"):
        MaskRule(masks=("dam",))


def test_metres_are_refused_where_pixels_are_in_degrees(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path)
    west, north = AREA.bounds[0] - 0.01, AREA.bounds[3] + 0.01
    catalogue.add_sentinel_2("A", at(5, 1), square=(west, north, 0.05), crs="EPSG:4326")
    with pytest.raises(CubeError, match=r"`dilate`.*degree"):
        build_cube(tmp_path / "c.zarr", find(catalogue), SEASON, AREA, True, MaskRule(dilate=30.0))
