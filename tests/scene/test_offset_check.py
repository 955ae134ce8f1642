"""Offsets against pixels: true metadata raise no alarm, wrong metadata do, and the project can decide."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from affine import Affine
from tests.data_sets import DATA
from tests.scenes import LEFT, SIDE, TOP, UTM

from agrifm.errors import SceneError
from agrifm.grid import Grid, area_grid
from agrifm.scene.local_files import search_files
from agrifm.scene.offset_check import (
    MIN_CLEAR_PIXELS,
    NOTHING_DARK,
    VISIBLE_ALONE,
    decide_offsets,
    judge_offset,
    measure_scene,
)
from agrifm.scene.products import Product, find_product
from agrifm.scene.scene import ArrayAsset, Scene
from agrifm.scene.search import search_catalog
from agrifm.season import Season

S2, FLAGGED = find_product("sentinel-2-c1-l2a"), find_product("sentinel-2-l2a-earth-search")
SIZE = 96
GRIDS = {"sentinel-2": Grid.of(UTM, Affine(10, 0, LEFT, 0, -10, TOP), (SIZE, SIZE)), "landsat": None}


def scene(
    name: str,
    shifted: bool,
    baseline: str | None = "05.10",
    removed: bool | None = None,
    darkest: float = 0.02,
    clear: float = 1.0,
    day: int = 1,
    product: Product = S2,
    green: float = 1.0,
    extra: int = 0,
) -> Scene:
    """Ground from `darkest` to 0.2 more or 0.4 of reflectance, alike in all bands, 1000 added where `shifted`.

    The darkest share `clear` is clear, and of the scene's the darkest share `green` vegetation, the rest bare. `extra`
    is added to the numbers besides; below 0 they end.
    """
    reflectance = np.linspace(darkest, max(darkest + 0.2, 0.4), SIZE * SIZE).reshape(SIZE, SIZE)
    numbers = np.rint(reflectance * 10000) + (1000 if shifted else 0) + extra
    numbers = np.maximum(numbers, 0).astype(np.uint16)
    classes = np.full((SIZE, SIZE), 9, np.uint8)
    classes.flat[: round(clear * SIZE * SIZE)] = 5
    classes.flat[: round(min(green, clear) * SIZE * SIZE)] = 4
    planes = {**dict.fromkeys(product.assets.values(), numbers), "scl": classes}
    transform = Affine(SIDE / SIZE, 0, LEFT, 0, -SIDE / SIZE, TOP)
    assets = {
        key: ArrayAsset(xr.DataArray(plane, dims=("y", "x"), name=key), UTM, transform) for key, plane in planes.items()
    }
    first = date(2024, 5, 1) + timedelta(days=day)
    return Scene(name, product, first, assets, "made", baseline=baseline, offset_removed=removed)


def sources(scenes: Sequence[Scene], choice="refuse") -> list[str]:
    found = decide_offsets(scenes, GRIDS, choice)
    assert [one.id for one in found] == [one.id for one in scenes]
    return [one.encoding.source for one in found]


def refusal(scenes: Sequence[Scene], choice="refuse") -> str:
    with pytest.raises(SceneError) as caught:
        decide_offsets(scenes, GRIDS, choice)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_true_metadata_on_both_sides_of_the_border_are_believed() -> None:
    season = [scene("A", True), scene("B", False, "03.01", day=3), scene("C", False, removed=True, product=FLAGGED)]
    assert sources(season[:2]) == [
        "offset -0.1 from processing baseline 05.10; its pixels agree",
        "offset 0 from processing baseline 03.01; its pixels agree",
    ]
    assert sources(season[2:]) == [
        "offset 0, removed by the provider (earthsearch:boa_offset_applied); its pixels agree"
    ]


REMOVED, OFF, ADDED = "removed already", "subtracted twice", "still in its numbers"
"""What the pixels look like, in a message."""
WRONG = {
    "flag says not removed, but it was": scene("X", False, "05.10", False, product=FLAGGED),
    "flag says removed, but it was not": scene("X", True, "05.10", True, product=FLAGGED),
    "baseline too old": scene("X", True, "03.01"),
    "baseline too new, or the offset was taken off twice": scene("X", False, "05.10"),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_wrong_offset_is_refused_with_what_fixes_it(wrong: Scene) -> None:
    sentence = refusal([wrong])
    assert (REMOVED if wrong.encoding.offset != 0 else ADDED) in sentence
    assert not [fact for fact in ("scene X: ", wrong.encoding.source, "`offset`", "`skip`") if fact not in sentence]


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_pixels_or_metadata_decide_if_the_project_says_so(wrong: Scene) -> None:
    stated = wrong.encoding
    (by_pixels,) = decide_offsets([wrong], GRIDS, "pixels")
    assert by_pixels.encoding.offset == {0.0: -0.1, -0.1: 0.0}[stated.offset]
    assert by_pixels.encoding.source.startswith(f"offset {by_pixels.encoding.offset:g} from its pixels; against offset")
    (by_metadata,) = decide_offsets([wrong], GRIDS, "metadata")
    assert by_metadata.encoding.offset == stated.offset
    assert by_metadata.encoding.source == f'{stated.source}; against its pixels, by `offset` = "metadata"'


def test_one_refusal_counts_the_others() -> None:
    season = [scene(f"S{day}", True, "03.01", day=day) for day in range(3)]
    with pytest.raises(SceneError, match="scene S0") as caught:
        decide_offsets(season, GRIDS, "refuse")
    assert caught.value.facts["scenes"] == ["S0", "S1", "S2"]


@pytest.mark.parametrize(("darkest", "shifted", "baseline"), [(0.08, False, "05.10"), (-0.02, True, "03.01")])
def test_neighbours_in_time_tell_where_one_scene_alone_could_be_either(
    darkest: float, shifted: bool, baseline: str
) -> None:
    """Bright soil read as -0.016, or water read as 0.087: possible, but 0.1 away from the same ground days before."""
    wrong = scene("X", shifted, baseline, darkest=darkest, day=9)
    assert sources([wrong])[0].endswith("its pixels agree")
    season = [scene(f"S{day}", True, darkest=darkest, day=day) for day in range(3)]
    assert "scene X: " in refusal([*season, wrong])
    assert "in time" in refusal([*season, wrong])


def test_ground_that_turns_from_dark_to_bright_raises_no_alarm() -> None:
    assert sources([scene("A", True, darkest=0.01), scene("B", True, darkest=0.07, day=5)])


@pytest.mark.parametrize("choice", ["refuse", "metadata", "pixels"])
def test_a_scene_with_too_few_clear_pixels_is_accepted_as_stated(choice: str) -> None:
    share = (MIN_CLEAR_PIXELS - 1) / SIZE**2
    wrong = scene("X", True, "03.01", clear=share)
    assert sources([wrong], choice) == ["offset 0 from processing baseline 03.01; too few clear pixels to check it"]
    assert "scene X" in refusal([scene("X", True, "03.01", clear=MIN_CLEAR_PIXELS / SIZE**2)])


def test_pixels_that_fit_neither_offset_settle_nothing() -> None:
    sentence = refusal([scene("X", True, "03.01", darkest=0.3)], "pixels")
    assert "fit neither offset 0" in sentence


def test_bright_ground_that_no_offset_explains_raises_no_alarm() -> None:
    """The mask missed a cloud: too bright under either offset, and unlike the days before."""
    season = [scene(f"S{day}", False, "03.01", day=day) for day in range(3)]
    cloudy = scene("X", False, "03.01", darkest=0.35, day=4)
    assert sources([*season, cloudy])[-1] == f"{cloudy.encoding.source}; {NOTHING_DARK}"


STATEMENTS = {
    "baseline 05.10": (True, "05.10", None, S2),
    "baseline 03.01": (False, "03.01", None, S2),
    "removed": (False, "05.10", True, FLAGGED),
}


@pytest.mark.parametrize("choice", ["refuse", "pixels"])
@pytest.mark.parametrize("stated", STATEMENTS.values(), ids=STATEMENTS)
@pytest.mark.parametrize("darkest", [0.15, 0.26, 0.45], ids=["sand dark in blue", "desert", "salt pan"])
def test_land_where_nothing_is_dark_is_not_judged_and_raises_no_alarm(
    darkest: float, stated: tuple, choice: str
) -> None:
    """No vegetation and no water; true metadata, one scene alone and a season of them."""
    shifted, baseline, removed, product = stated
    season = [
        scene(f"S{day}", shifted, baseline, removed, darkest + 0.01 * (day % 2), product=product, green=0.0, day=day)
        for day in range(4)
    ]
    unjudged = [f"{one.encoding.source}; {NOTHING_DARK}" for one in season]
    assert sources(season, choice) == unjudged
    assert sources(season[:1], choice) == unjudged[:1]


def test_a_desert_whose_scenes_state_different_things_raises_no_alarm() -> None:
    season = [
        scene(f"S{day}", day % 2 == 0, ("05.10", "03.01")[day % 2], darkest=0.15, green=0.0, day=day)
        for day in range(6)
    ]
    assert all(source.endswith(NOTHING_DARK) for source in sources(season))


def test_snow_raises_no_alarm_whether_the_mask_finds_it_or_not() -> None:
    """Found, too few pixels are clear; not found, it is as bright as sand, in a season that is dark otherwise."""
    season = [scene(f"S{day}", False, "03.01", day=day) for day in range(3)]
    found = scene("X", False, "03.01", darkest=0.5, clear=0.01, green=0.0, day=4)
    missed = scene("X", False, "03.01", darkest=0.12, green=0.0, day=4)
    assert sources([*season, found])[-1].endswith("too few clear pixels to check it")
    assert sources([*season, missed])[-1].endswith(NOTHING_DARK)


def test_a_little_vegetation_reveals_a_wrong_offset_of_a_bright_scene() -> None:
    """Its darkest hundredth must be dark, for a twentieth of the ground is green."""
    assert ADDED in refusal([scene("X", True, "03.01", green=0.06)])
    assert sources([scene("X", True, "03.01", green=0.04)])[0].endswith(NOTHING_DARK)


TWICE = {
    "off, flag says removed": (scene("X", False, "05.10", True, product=FLAGGED, extra=-1000, green=0.06), OFF),
    "off, baseline says there": (scene("X", False, "05.10", extra=-1000, green=0.06), OFF),
    "added": (scene("X", True, "05.10", extra=1000), "added twice"),
    "added, flag says removed": (
        scene("X", True, "05.10", True, product=FLAGGED, extra=1000),
        ADDED,
    ),
}


@pytest.mark.parametrize(("wrong", "fact"), TWICE.values(), ids=TWICE)
def test_an_offset_applied_twice_is_refused_by_pixels_too(wrong: Scene, fact: str) -> None:
    """Alone, and among true scenes of the days before."""
    assert fact in refusal([wrong])
    season = [replace(scene(f"S{day}", True, darkest=0.03, day=day), product=wrong.product) for day in range(3)]
    assert wrong.encoding.source in refusal([*season, wrong])
    assert fact in refusal([*season, wrong])
    assert "fit neither" in refusal([wrong], "pixels")
    assert sources([wrong], "metadata") == [f'{wrong.encoding.source}; against its pixels, by `offset` = "metadata"']


def test_numbers_that_end_at_zero_over_vegetation_alone_are_accepted() -> None:
    """Rightly removed and clipped: a third of the vegetation is below 0 in blue, the soil is not."""
    one = scene("X", False, removed=True, product=FLAGGED, darkest=-0.05, green=0.3)
    assert sources([one])[0].endswith("its pixels agree")


def hazy(made: Scene, taken: int) -> Scene:
    """The scene with so much less in the visible bands, where numbers end at 0."""
    assets = dict(made.assets)
    for band in ("B02", "B04"):
        key = made.product.assets[band]
        asset = assets[key]
        assert isinstance(asset, ArrayAsset)
        numbers = np.maximum(asset.pixels.values.astype(int) - taken, 0).astype(np.uint16)
        assets[key] = ArrayAsset(asset.pixels.copy(data=numbers), asset.crs, asset.transform)
    return replace(made, assets=assets)


@pytest.mark.parametrize("choice", ["refuse", "pixels"])
@pytest.mark.parametrize("stated", STATEMENTS.values(), ids=STATEMENTS)
def test_haze_that_was_corrected_too_far_is_dark_in_the_visible_alone(stated: tuple, choice: str) -> None:
    """With the offset in the numbers the visible is below 0; without it, it has no numbers. The infrared is as ever."""
    shifted, baseline, removed, product = stated
    season = [scene(f"S{day}", shifted, baseline, removed, 0.04, product=product, day=day) for day in range(3)]
    one = hazy(scene("X", shifted, baseline, removed, 0.04, product=product, day=4), 2500)
    assert sources([*season, one], choice)[-1].endswith(VISIBLE_ALONE if shifted else "its pixels agree")
    # alone, no other scene shows what its infrared should be
    assert (REMOVED if shifted else OFF) in refusal([one])


def test_where_the_infrared_is_as_dark_the_offset_was_taken_off() -> None:
    season = [scene(f"S{day}", True, darkest=0.04, day=day) for day in range(3)]
    wrong = hazy(scene("X", False, "05.10", darkest=0.04, day=4), 200)
    assert REMOVED in refusal([*season, wrong])
    twice = hazy(scene("X", False, "05.10", True, product=FLAGGED, extra=-1000, darkest=0.04, green=0.06, day=4), 200)
    assert OFF in refusal([*(replace(one, product=FLAGGED) for one in season), twice])


def test_scenes_of_products_with_one_offset_are_not_touched() -> None:
    other = replace(scene("X", True), product=find_product("sentinel-2-worldcereal"))
    assert decide_offsets([other], GRIDS, "refuse") == [other]


@pytest.mark.check
def test_the_real_flanders_season_raises_no_alarm_and_wrong_metadata_do() -> None:
    """The numbers of the set hold reflectance without an offset; it is read here as if its baselines were stated."""
    files = sorted(DATA.glob("flanders_multisource_2018/*/s2_l2a_10m.nc"))
    if not files:
        pytest.skip("needs the data sets at AGRIFM_DATA")
    real = find_product("sentinel-2-worldcereal")
    product = replace(real, offset=-0.1, offset_from_baseline="04.00")
    season = Season(date(2017, 1, 1), date(2019, 12, 31))
    found = search_files(files[0].parent, "s2_l2a_*m.nc", product, season, baseline="02.07").scenes
    asset = found[0].assets["B02"]
    assert isinstance(asset, ArrayAsset)
    grids = {"sentinel-2": Grid.of(asset.crs, asset.transform, asset.pixels.shape)}
    assert {one.encoding.offset for one in decide_offsets(found, grids, "refuse")} == {0.0}
    wrong = [replace(one, baseline="05.10") for one in found]
    judged = [one for one in found if measure_scene(one, grids).darkest is not None]
    assert len(judged) > 10
    settled = decide_offsets(wrong, grids, "pixels")
    assert sum(one.encoding.offset == 0 for one in settled) >= 0.95 * len(judged)


def fits_neither(wrong: Scene, grids: dict[str, Grid]) -> bool:
    """Whether a scene by itself is refused with either offset."""
    try:
        decide_offsets([wrong], grids, "pixels")
    except SceneError as error:
        return "fit neither" in str(error)
    return False


@pytest.mark.check
@pytest.mark.parametrize(("region", "year"), [("mediterranean", 2024)])
def test_simulated_seasons_raise_no_alarm_and_wrong_metadata_do(tmp_path: Path, region: str, year: int) -> None:
    """Water, forest, haze, snow and cloud, and baselines 03.01 and 05.10 in one season."""
    import geopandas

    from agrifm.simulator.catalog import simulate

    simulate(tmp_path / "made", region, year, 1.0, 5, Season(date(year, 3, 1), date(year, 5, 31)))
    area = geopandas.read_file(tmp_path / "made" / "area.geojson").to_crs(4326).union_all()
    search = search_catalog(
        tmp_path / "made" / "catalog.json", [S2], Season(date(year, 1, 1), date(year, 12, 31)), area
    )
    grids = {"sentinel-2": area_grid(area)}
    found = decide_offsets(search.scenes, grids, "refuse")
    judged = [one.id for one in found if one.encoding.source.endswith("its pixels agree")]
    assert len(judged) > 5
    assert {one.baseline for one in found} == {"03.01", "05.10"}
    wrong = [replace(one, decided=None, baseline="03.01" if one.baseline == "05.10" else "05.10") for one in found]
    offsets = {one.id: one.encoding.offset for one in found}
    # one that is too bright under its true offset too fits neither, and is refused: noticed as well
    wrong = [one for one in wrong if not fits_neither(one, grids)]
    unsettled = [one.id for one in decide_offsets(wrong, grids, "pixels") if one.encoding.offset != offsets[one.id]]
    assert len(set(unsettled) & set(judged)) <= 0.05 * len(judged)


def test_a_sample_of_a_large_scene_has_its_dark_quantile() -> None:
    one = scene("A", True)
    plane = one.assets["blue"]
    assert isinstance(plane, ArrayAsset)
    seen = measure_scene(one, GRIDS)
    expected = np.quantile(plane.pixels.values, 0.01) / 10000
    assert seen.darkest == pytest.approx(float(expected), abs=1e-4)


def test_a_scene_that_lacks_a_band_is_refused_by_the_check_too() -> None:
    one = scene("A", True)
    assets = {key: asset for key, asset in one.assets.items() if key != "red"}
    with pytest.raises(SceneError, match="'red2'") as caught:
        decide_offsets([replace(one, assets=assets, unused=("red2", "thumbnail"))], GRIDS, "refuse")
    assert caught.value.facts == {"scene": "A", "asset": "red", "band": "B04"}


@pytest.mark.parametrize(
    ("missing", "bare", "doubted"), [(0.4, 0.0, False), (0.6, 0.0, True), (0.2, 0.08, False), (0.2, 0.12, True)]
)
def test_missing_numbers_count_more_over_bare_ground_than_over_vegetation(
    missing: float, bare: float, doubted: bool
) -> None:
    seen = replace(measure_scene(scene("A", True), GRIDS), missing=missing, missing_bare=bare, infrared=0.0)
    doubt = judge_offset(seen, [seen]).doubt
    assert (doubt is not None) == doubted
    if doubt is not None:
        assert f"{missing:.0%} of its clear land pixels and {bare:.0%}" in doubt
