"""The project file: the values that are read and the errors for wrong ones."""

import re
from datetime import date
from pathlib import Path

import pytest

from agrifm.config import Project, read_project
from agrifm.errors import ConfigError
from agrifm.recipe import Recipe

SEASON = 'area = "area.geojson"\nstart = 2024-11-01\nend = 2025-06-30'
IMAGERY = 'catalog = "stac/catalog.json"\nproducts = ["landsat-c2-l2"]'
LABELS = 'file = "labels.gpkg"'
FILES = '[[imagery.files]]\nproduct = "x"\npattern = "y"\n'


def project_file(
    directory: Path, more: str = "", season: str = SEASON, imagery: str = IMAGERY, labels: str = LABELS
) -> Path:
    path = directory / "agrifm.toml"
    path.write_text(f"[season]\n{season}\n[imagery]\n{imagery}\n[labels]\n{labels}\n{more}\n")
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read_project(path)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert str(path.parent) in sentence
    return sentence


def test_the_first_model_makes_the_map_if_none_is_named(tmp_path: Path) -> None:
    names = '[model]\nnames = ["classic", "agrifm"]'
    assert read_project(project_file(tmp_path, names)).map_model == "classic"
    assert read_project(project_file(tmp_path, f'{names}\n[map]\nmodel = "agrifm"')).map_model == "agrifm"


def test_the_shortest_project_file_gets_the_documented_defaults(tmp_path: Path) -> None:
    project = read_project(project_file(tmp_path))
    assert (project.labels.column, project.labels.block, project.labels.other) == ("crop", 960, None)
    assert project.model.names == ("agrifm", "classic")
    assert (project.model.preset, project.model.frames, project.model.side) == ("tiny", 24, 96)
    assert (project.model.series, project.model.sensor_dropout) == ("interpolated", 0)
    assert (project.map_model, project.map.window, project.map.overlap) == ("agrifm", None, 48)
    assert (project.map.probabilities, project.parcels, project.labels.covered) == (None, None, None)
    assert (project.map.smoothing, project.map.minimum_mapping_unit) == (0, 0)
    assert (project.map.cropland, project.map.cropland_values) == (None, ())
    assert project.assess.column == "label"


@pytest.mark.parametrize("keys", ['store = "s3://bucket"', 'store = "gs://a/b"', 'store = "s3://a/b"\ntiles = 10'])
def test_a_store_is_an_address_and_for_one_cube(keys: str, tmp_path: Path) -> None:
    assert "`store`" in refusal(project_file(tmp_path, season=f"{SEASON}\n{keys}"))


def test_results_are_published_below_the_address_of_the_store(tmp_path: Path) -> None:
    project = read_project(project_file(tmp_path, season=f'{SEASON}\nstore = "s3://bucket/prefix"'))
    assert [str(project.published(place)) for place in (project.cube, project.maps)] == [
        "s3://bucket/prefix/cube.zarr",
        "s3://bucket/prefix/map",
    ]
    assert project.source == project.published(project.cube)
    assert read_project(project_file(tmp_path)).source == project.cube


def test_every_key_of_every_section_is_read(tmp_path: Path) -> None:
    imagery = """\
skip = ["A", "B"]
native_grid = true
[[imagery.files]]
product = "sentinel-2-c1-l2a"
pattern = "s2/*.tif"
baseline = "05.10"
[[imagery.files]]
product = "landsat-c2-l2"
pattern = "l8/*.nc"
"""
    labels = 'file = "l.tif"\ncolumn = "code"\nlegend = "l.csv"\nother = "o.tif"\nother_values = [10, 80]\n'
    labels += 'fold_column = "fold"\nblock = 1440'
    more = """\
[model]
task = "one-crop"
crop = ["maize", 12]
names = ["random-forest"]
preset = "base"
frames = 30
side = 144
steps = 10
batch = 2
learning_rate = 1e-4
seed = 7
seeds = 3
series = "composites"
sensor_dropout = 0.25
weights = "start.safetensors"
encoder = "frozen"
calibration = false
recipe = { hidden = 0.5, shift = 10, averaging = 0.98 }
[map]
model = "random-forest"
window = 192
overlap = 96
probabilities = false
smoothing = 5
minimum_mapping_unit = 0.1
cropland = "worldcover.tif"
cropland_values = [40]
[parcels]
file = "fields.gpkg"
layer = "2024"
id = "name"
area = "ha"
geopackage = true
[assess]
column = "class"
"""
    project = read_project(project_file(tmp_path, more, "area = [2, 46.5, 2.25, 47]\n" + SEASON[22:], imagery, labels))
    assert project.season.area == (2, 46.5, 2.25, 47)
    assert (project.season.start, project.season.end) == (date(2024, 11, 1), date(2025, 6, 30))
    assert project.imagery.skip == ("A", "B")
    assert project.imagery.native_grid
    assert [(entry.product, entry.pattern, entry.baseline) for entry in project.imagery.files] == [
        ("sentinel-2-c1-l2a", "s2/*.tif", "05.10"),
        ("landsat-c2-l2", "l8/*.nc", None),
    ]
    assert project.labels.other_values == (10, 80)
    assert (project.labels.column, project.labels.fold_column, project.labels.block) == ("code", "fold", 1440)
    assert project.model.model_dump() == {
        "task": "one-crop",
        "crop": ("maize", "12"),
        "crops": (),
        "names": ("random-forest",),
        "preset": "base",
        "frames": 30,
        "side": 144,
        "steps": 10,
        "batch": 2,
        "learning_rate": 1e-4,
        "seed": 7,
        "seeds": 3,
        "series": "composites",
        "sensor_dropout": 0.25,
        "weights": Path("start.safetensors"),
        "encoder": "frozen",
        "calibration": False,
        "recipe": Recipe(hidden=0.5, shift=10, averaging=0.98).model_dump(),
    }
    assert (project.map.model, project.map.window, project.map.overlap) == ("random-forest", 192, 96)
    fields = '[model]\ntask = "boundaries"\n[map]\nminimum_area = 0.2\nlargest_hole = 0.05'
    of_fields = read_project(project_file(tmp_path, fields)).map
    assert (of_fields.minimum_area, of_fields.largest_hole) == (0.2, 0.05)
    shares = read_project(project_file(tmp_path, '[model]\ntask = "fractions"', labels=LABELS + "\ncovered = 0.8"))
    assert shares.labels.covered == 0.8
    assert project.map.probabilities is False
    assert (project.map.smoothing, project.map.minimum_mapping_unit) == (5, 0.1)
    assert (project.map.cropland, project.map.cropland_values) == (Path("worldcover.tif"), (40,))
    assert project.parcels is not None
    assert project.parcels.model_dump() == {
        "file": Path("fields.gpkg"),
        "id": "name",
        "area": "ha",
        "geopackage": True,
        "layer": "2024",
        "crs": None,
        "encoding": None,
    }
    assert project.assess.column == "class"


def test_paths_are_relative_to_the_project_file(tmp_path: Path) -> None:
    project = read_project(project_file(tmp_path))
    assert project.path(project.labels.file) == tmp_path / "labels.gpkg"
    assert project.path("/elsewhere/labels.gpkg") == Path("/elsewhere/labels.gpkg")
    assert (project.cube, project.models, project.maps) == (
        tmp_path / "cube.zarr",
        tmp_path / "models",
        tmp_path / "map",
    )


def test_a_directory_is_read_as_its_project_file(tmp_path: Path) -> None:
    project_file(tmp_path)
    assert read_project(tmp_path) == read_project(tmp_path / "agrifm.toml")


def test_a_project_cannot_be_changed_after_it_was_read(tmp_path: Path) -> None:
    project = read_project(project_file(tmp_path))
    with pytest.raises(ValueError, match="frozen"):
        project.season.start = date(2020, 1, 1)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("places", "unknown", "near"),
    [
        ({"more": "[modle]\nside = 96"}, "modle", "model"),
        ({"season": SEASON + "\nstrat = 2024-01-01"}, "season.strat", "start"),
        ({"imagery": IMAGERY + '\nprodcts = "x"'}, "imagery.prodcts", "products"),
        ({"labels": LABELS + '\ncolum = "x"'}, "labels.colum", "column"),
        ({"more": "[model]\nframe = 5"}, "model.frame", "frames"),
        ({"more": "[map]\noverlaps = 48"}, "map.overlaps", "overlap"),
        ({"more": '[assess]\ncolum = "x"'}, "assess.colum", "column"),
        (
            {"imagery": FILES + FILES.replace("pattern", "patern")},
            "imagery.files.1.patern",
            "pattern",
        ),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(
    tmp_path: Path, places: dict[str, str], unknown: str, near: str
) -> None:
    sentence = refusal(project_file(tmp_path, **places))
    assert f"'{unknown}'" in sentence
    assert f"did you mean '{near}'" in sentence


def test_a_misspelt_required_key_is_called_unknown_rather_than_missing(tmp_path: Path) -> None:
    sentence = refusal(project_file(tmp_path, labels='fiel = "labels.gpkg"'))
    assert "'labels.fiel'" in sentence
    assert "did you mean 'file'" in sentence


def test_the_internal_directory_is_not_a_key(tmp_path: Path) -> None:
    path = project_file(tmp_path)
    path.write_text('directory = "x"\n' + path.read_text())
    assert "'directory'" in refusal(path)


@pytest.mark.parametrize(
    ("places", "fact"),
    [
        ({"labels": 'column = "crop"'}, "labels.file"),
        ({"season": SEASON.replace("2024-11-01", '"soon"')}, "season.start"),
        ({"season": SEASON.replace('"area.geojson"', "[1, 2, 3]")}, "season.area"),
        ({"season": SEASON.replace("2025-06-30", "2024-06-30")}, "2024-06-30"),
        ({"imagery": 'products = ["landsat-c2-l2"]'}, "[[imagery.files]]"),
        ({"imagery": 'catalog = "c.json"'}, "`products`"),
        ({"imagery": IMAGERY + '\nprovider = "cdse"'}, "`provider` and `catalog`"),
        ({"imagery": IMAGERY + "\ncloud = 101"}, "imagery.cloud"),
        ({"season": SEASON + "\nbuffer = -1"}, "season.buffer"),
        ({"imagery": 'products = ["x"]\n' + FILES}, "`products`"),
        ({"labels": LABELS + "\nblock = 500"}, "(found 500)"),
        ({"labels": LABELS + '\nother_values = "10"'}, "labels.other_values"),
        ({"more": "[model]\nnames = []"}, "model.names"),
        ({"more": '[model]\ntask = "croptype"'}, "(found 'croptype')"),
        ({"more": '[model]\ntask = "one-crop"'}, "`crop`"),
        ({"more": '[model]\ntask = "boundaries"\nnames = ["agrifm", "lightgbm"]'}, "'lightgbm'"),
        ({"more": '[model]\ntask = "boundaries"\nseeds = 2'}, "`seeds`"),
        ({"more": '[model]\ntask = "yield"'}, "`value`"),
        ({"more": "[map]\nminimum_area = -1"}, "minimum_area"),
        ({"more": "[map]\nminimum_area = 1"}, "minimum_area"),
        ({"labels": LABELS + "\ncovered = 0.5"}, "covered"),
        (
            {
                "more": '[model]\ntask = "yield"\ncrop = "rice"\n[map]\nsmoothing = 3',
                "labels": LABELS + '\nvalue = "t"\nunit = "t/ha"',
            },
            "smoothing",
        ),
        ({"more": '[model]\ncrop = "maize"'}, "`crop`"),
        ({"more": '[model]\ntask = "land-cover"\ncrops = ["maize"]'}, "`crops`"),
        ({"more": '[model]\nnames = ["threshold"]'}, '"threshold"'),
        ({"more": '[model]\nnames = ["unet"]'}, "'unet'"),
        ({"more": '[model]\npreset = "huge"'}, "(found 'huge')"),
        ({"more": "[model]\nside = 100"}, "(found 100)"),
        ({"more": "[model]\nlearning_rate = 0"}, "model.learning_rate"),
        ({"more": '[model]\nseries = "medians"'}, "(found 'medians')"),
        ({"more": '[model]\nseries = "observed"\npreset = "base"'}, "29 to 32 frames"),
        ({"more": "[model]\nsensor_dropout = 1"}, "model.sensor_dropout"),
        ({"more": '[model]\nweights = "w.safetensors"\nnames = ["tempcnn"]'}, "`weights`"),
        (
            {"season": SEASON.replace("2025-06-30", "2024-11-20"), "more": "[model]\nframes = 21"},
            "`frames` (21)",
        ),
        ({"more": '[model]\nseed = "a"'}, "model.seed"),
        ({"more": "[map]\nwindow = 96\noverlap = 96"}, "`overlap` (96)"),
    ],
)
def test_an_invalid_value_is_refused_in_one_sentence_that_names_it(
    tmp_path: Path, places: dict[str, str], fact: str
) -> None:
    assert fact in refusal(project_file(tmp_path, **places))


def test_an_overlap_of_half_the_window_is_allowed(tmp_path: Path) -> None:
    assert read_project(project_file(tmp_path, "[map]\nwindow = 96\noverlap = 48")).map.overlap == 48


def test_the_error_for_an_absent_project_file_names_agrifm_init(tmp_path: Path) -> None:
    assert "`agrifm init DIR`" in refusal(tmp_path / "agrifm.toml")


@pytest.mark.parametrize("content", [b"[season\narea=1", b"\xff\xfe\x00"])
def test_a_file_that_is_not_toml_is_refused_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "agrifm.toml"
    path.write_bytes(content)
    assert "reading the project file" in refusal(path)


def test_every_field_says_what_it_is() -> None:
    sections = [
        field.annotation for field in Project.model_fields.values() if hasattr(field.annotation, "model_fields")
    ]
    assert len(sections) == 6
    for section in sections:
        assert all(field.description for field in section.model_fields.values()), section


@pytest.mark.parametrize(
    ("key", "value"),
    [("seed", "-1"), ("seed", "1" + "0" * 30), ("learning_rate", "inf"), ("learning_rate", "nan"), ("frames", "1e99")],
)
def test_numbers_that_no_library_takes_are_refused_by_their_key(key: str, value: str, tmp_path: Path) -> None:
    assert f"model.{key}" in refusal(project_file(tmp_path, f"[model]\n{key} = {value}\n"))


def test_a_value_of_any_length_or_depth_is_refused_in_a_short_sentence(tmp_path: Path) -> None:
    for value in ("[" * 5000, '"' + "x" * 100_000 + '"'):
        assert len(refusal(project_file(tmp_path, f"[model]\nframes = {value}\n"))) < 700


@pytest.mark.parametrize("key", ["layer", "crs", "encoding"])
def test_keys_of_vector_files_are_in_each_section_that_names_one(tmp_path: Path, key: str) -> None:
    line = f'\n{key} = "EPSG:32631"'
    project = read_project(project_file(tmp_path, f"[assess]{line}", season=SEASON + line, labels=LABELS + line))
    assert {getattr(section, key) for section in (project.season, project.labels, project.assess)} == {"EPSG:32631"}
    box = SEASON.replace('"area.geojson"', "[2, 46, 3, 47]")
    assert f"`{key}`" in refusal(project_file(tmp_path, season=box + line))


@pytest.mark.parametrize("start", ["2024-03-01", '"2024-03-01"', "20240301", '"20240301"', "2024-03-01T00:00:00Z"])
def test_a_day_is_read_by_its_form(tmp_path: Path, start: str) -> None:
    season = re.sub("start = .*", f"start = {start}", SEASON)
    assert read_project(project_file(tmp_path, season=season)).season.start == date(2024, 3, 1)


@pytest.mark.parametrize("start", ["2024", "1709251200", "true", "2024.0301", '"01/03/2024"', '"2024-03"', "20241301"])
def test_a_day_in_another_form_is_refused(tmp_path: Path, start: str) -> None:
    season = re.sub("start = .*", f"start = {start}", SEASON)
    assert "season.start" in refusal(project_file(tmp_path, season=season))


def test_a_product_that_is_not_a_table_is_refused_with_the_key_that_is_meant(tmp_path: Path) -> None:
    assert "`products`" in refusal(project_file(tmp_path, imagery=IMAGERY + '\nproduct = "sentinel-2-c1-l2a"'))
