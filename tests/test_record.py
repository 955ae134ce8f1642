"""A record is compared with a cube: the first difference is named, and nothing else is refused."""

from datetime import date
from importlib.metadata import version
from itertools import permutations
from pathlib import Path
from typing import get_args

import pytest
from pydantic import ValidationError

from agrifm.errors import ModelError
from agrifm.legend import Legend
from agrifm.record import (
    ModelRecord,
    SensorInput,
    SensorRecord,
    model_file,
    present_sensors,
    require_fit,
    running_versions,
)
from agrifm.sensors import Quantity

SENTINEL = SensorInput(
    sensor="sentinel-2", bands=("B02", "B03", "B04"), quantity="surface reflectance", scale=1e-4, resolution=10
)
LANDSAT = SensorInput(sensor="landsat", bands=("B04", "B05"), quantity="surface reflectance", scale=1e-4, resolution=30)


def record(*sensors: SensorInput, absent: tuple[str, ...] = ()) -> ModelRecord:
    return ModelRecord(
        name="fields",
        architecture={},
        sensors=tuple(
            SensorRecord(
                **sensor.model_dump(),
                absent_bands=absent,
                mean=(0.1,) * len(sensor.bands),
                std=(0.1,) * len(sensor.bands),
            )
            for sensor in sensors
        ),
        frames=4,
        side=96,
        legend=Legend.of([1, 2]),
        season=(date(2024, 3, 1), date(2024, 9, 30)),
    )


def compare(expected: ModelRecord, *sensors: SensorInput) -> None:
    require_fit(expected, {sensor.sensor: sensor for sensor in sensors}, "cube.zarr")


def refusal(expected: ModelRecord, *sensors: SensorInput) -> dict[str, object]:
    """The facts of the error."""
    with pytest.raises(ModelError, match=r"cube\.zarr") as caught:
        compare(expected, *sensors)
    return caught.value.facts


def test_a_cube_with_exactly_what_is_expected_fits() -> None:
    compare(record(SENTINEL, LANDSAT), SENTINEL, LANDSAT)


def test_neither_the_order_of_bands_nor_more_bands_or_sensors_matter() -> None:
    compare(record(SENTINEL), LANDSAT, SENTINEL.model_copy(update={"bands": ("B08", "B04", "B02", "B03")}))


def test_a_missing_sensor_is_named_with_what_the_cube_has() -> None:
    assert refusal(record(SENTINEL, LANDSAT), SENTINEL) == {"sensor": "landsat"}
    with pytest.raises(ModelError, match=r"has sentinel-2\)"):
        compare(record(SENTINEL, LANDSAT), SENTINEL)


def test_a_sensor_that_may_be_absent_may_be_missing_but_not_differ() -> None:
    optional = record(SENTINEL, LANDSAT).model_copy(update={"absent_sensors": ("landsat",)})
    compare(optional, SENTINEL)
    assert [sensor.sensor for sensor in present_sensors(optional, {"sentinel-2": SENTINEL})] == ["sentinel-2"]
    assert refusal(optional, LANDSAT) == {"sensor": "sentinel-2"}
    other = LANDSAT.model_copy(update={"bands": ("B04",)})
    assert refusal(optional, SENTINEL, other) == {"sensor": "landsat", "band": "B05"}


def test_a_record_without_a_kind_of_series_is_of_interpolated_series() -> None:
    content = record(SENTINEL).model_dump(mode="json")
    del content["series"], content["absent_sensors"]
    loaded = ModelRecord.model_validate(content)
    assert (loaded.series, loaded.absent_sensors) == ("interpolated", ())


def test_a_missing_band_is_named_with_what_the_cube_has() -> None:
    cube = SENTINEL.model_copy(update={"bands": ("B02", "B04", "B08")})
    assert refusal(record(SENTINEL), cube) == {"sensor": "sentinel-2", "band": "B03"}
    with pytest.raises(ModelError, match="B02, B04, B08"):
        compare(record(SENTINEL), cube)


def test_a_band_that_is_declared_absent_may_be_missing() -> None:
    cube = SENTINEL.model_copy(update={"bands": ("B02", "B04")})
    compare(record(SENTINEL, absent=("B03",)), cube)
    assert refusal(record(SENTINEL, absent=("B02",)), cube)["band"] == "B03"


@pytest.mark.parametrize(
    ("field", "expected", "found"),
    [("quantity", "surface reflectance", "index"), ("scale", 1e-4, 2.75e-5), ("resolution", 10, 20)],
)
def test_another_quantity_scale_or_pixel_side_is_refused(field: str, expected: object, found: object) -> None:
    facts = refusal(record(SENTINEL), SENTINEL.model_copy(update={field: found}))
    assert facts == {"sensor": "sentinel-2", "field": field, "expected": expected, "found": found}


@pytest.mark.parametrize(("wanted", "has"), list(permutations(get_args(Quantity), 2)))
def test_a_model_of_one_quantity_refuses_every_other(wanted: Quantity, has: Quantity) -> None:
    expected, found = (SENTINEL.model_copy(update={"quantity": quantity}) for quantity in (wanted, has))
    facts = refusal(record(expected), found)
    assert (facts["expected"], facts["found"]) == (wanted, has)


def test_the_first_difference_is_the_one_that_is_named() -> None:
    """In the order sensor by sensor: bands, quantity, scale, resolution."""
    changes = {"bands": ("B02", "B03"), "quantity": "index", "scale": 1.0, "resolution": 60}
    for field in ("bands", "quantity", "scale", "resolution"):
        facts = refusal(record(LANDSAT, SENTINEL), LANDSAT, SENTINEL.model_copy(update=changes))
        assert facts.get("band" if field == "bands" else "field") == ("B04" if field == "bands" else field)
        del changes[field]
    other = SENTINEL.model_copy(update={"scale": 1.0})
    assert refusal(record(LANDSAT, SENTINEL), other) == {"sensor": "landsat"}


def test_a_record_survives_json() -> None:
    saved = record(SENTINEL)
    assert ModelRecord.model_validate_json(saved.model_dump_json()) == saved


def test_a_record_with_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValueError, match="extra"):
        ModelRecord.model_validate({**record(SENTINEL).model_dump(), "bandz": 3})


def test_versions_are_those_of_installed_packages_and_leave_out_others() -> None:
    found = running_versions("rasterio", "no-such-package")
    assert found["rasterio"] == version("rasterio")
    assert set(found) == {"python", "agrifm", "numpy", "rasterio"}


OLD = (
    '{"format":1,"name":"fields","architecture":%s,"sensors":[{"sensor":"sentinel-2","bands":["B04"],"quantity":"surface'
    ' reflectance","scale":0.0001,"resolution":10.0,"absent_bands":[],"mean":[0.1],"std":[0.1]}],"frames":4,"series":'
    '"interpolated","absent_sensors":[],"side":96,"margin":0,"legend":{"classes":[{"code":"1","name":"1","color":'
    '"#4477aa","parent":null,"scored":true}]},"season":["2024-03-01","2024-09-30"],"area":null,"training":{},"versions":{}}'
)
"""A record as it was saved before records had a family."""


@pytest.mark.parametrize(
    ("architecture", "family"),
    [('{"kind": "random forest", "shape": {}}', "random-forest"), ('{"classes": 3}', "agrifm"), ("{}", "agrifm")],
)
def test_a_record_that_was_saved_without_a_family_gets_one(architecture: str, family: str) -> None:
    loaded = ModelRecord.model_validate_json(OLD % architecture)
    assert loaded.family == family
    assert ModelRecord.model_validate_json(loaded.model_dump_json()) == loaded


def test_the_family_decides_the_format_of_a_model_file() -> None:
    directory = Path("models")
    assert model_file(directory, "random-forest") == directory / "random-forest.skops"
    assert model_file(directory, "agrifm") == directory / "agrifm.safetensors"


@pytest.mark.parametrize("name", ["a.b", "../../etc/passwd", ""])
def test_a_sensor_whose_name_cannot_be_part_of_a_network_is_refused(name: str) -> None:
    fields = {"bands": ("B02",), "quantity": "surface reflectance", "scale": 1e-4, "resolution": 10, "mean": (0.1,)}
    with pytest.raises(ValidationError):
        SensorRecord(sensor=name, std=(0.1,), **fields)


@pytest.mark.parametrize(
    ("side", "fits"), [(231.7, True), (0.0021, True), (120.0, True), (30.0, False), (600.0, False)]
)
def test_a_model_of_single_pixels_fits_pixels_about_as_large_as_its_sensor_s(side: float, fits: bool) -> None:
    about = {"sensor": "modis-250m", "bands": ("NDVI",), "quantity": "index", "scale": 1e-4}
    sensor = SensorRecord(**about, resolution=240, mean=(0.5,), std=(0.2,))  # type: ignore[arg-type]
    record = ModelRecord(
        name="agrifm",
        family="agrifm",
        architecture={},
        sensors=(sensor,),
        frames=24,
        side=1,
        legend=Legend.of(["a", "b"]),
        season=(date(2012, 1, 1), date(2012, 12, 31)),
    )
    cube = {"modis-250m": SensorInput(**about, resolution=side)}  # type: ignore[arg-type]
    if fits:
        require_fit(record, cube, "the cube")
        with pytest.raises(ModelError):  # a model of windows needs the pixels of its training
            require_fit(record.model_copy(update={"side": 96}), cube, "the cube")
    else:
        with pytest.raises(ModelError) as error:
            require_fit(record, cube, "the cube")
        assert error.value.facts["field"] == "resolution"
