"""The mean of models: each member reads as its record says, and a file whose members are not those named is refused."""

import json
import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import rasterio
from tests.mapping.small_maps import SENTINEL, PixelModel, make_cube, make_record, utm_grid
from tests.toy import toy_project

from agrifm.calibration import Calibration
from agrifm.cube.store import open_cube
from agrifm.errors import ModelError
from agrifm.grid import Window
from agrifm.inference.compatibility import check_model, describe_model
from agrifm.inference.mean import (
    MeanModel,
    WeightedModel,
    mean_record,
    mean_where_known,
    read_mean,
    write_mean,
)
from agrifm.inference.predictor import load_model, load_record
from agrifm.legend import Legend
from agrifm.mapping import predict
from agrifm.mapping.predict import predict_windows
from agrifm.mapping.run import map_cube
from agrifm.record import SensorInput
from agrifm.samples.sample import Sample, Series
from agrifm.train.run import train


class LastModel(PixelModel):
    """Looks at the last frame alone, and remembers the series that it received."""

    def probabilities(self, sample: Sample) -> np.ndarray:
        """(3, H, W): the second class where the last frame is bright."""
        super().probabilities(sample)
        self.frames = len(sample.series["sentinel-2"].date)
        bright = sample.series["sentinel-2"].image[-1, 1]
        return np.stack([0.6 - bright / 2, 0.1 + bright / 2, np.full_like(bright, 0.3)]).astype(np.float32)


def mean_of(*members: tuple[PixelModel, float]) -> MeanModel:
    records = [model.record for model, _ in members]
    weighted = tuple(WeightedModel(f"{number}.skops", weight, model) for number, (model, weight) in enumerate(members))
    return MeanModel(mean_record("both", "best", records, {}), weighted)


def test_a_map_has_the_weighted_mean_of_its_members_probabilities(tmp_path: Path) -> None:
    cube = make_cube(tmp_path / "cube.zarr", utm_grid(), unseen=(slice(0, 40), slice(0, 20)))
    interpolated = PixelModel(make_record(frames=4, margin=8))
    observed = LastModel(make_record(series="observed", name="last"))
    window = Window(0, 0, 96, 144)
    alone = [next(predict_windows(cube, model, [window]))[1].astype(float) for model in (interpolated, observed)]
    assert observed.frames == 3  # as many as there are dates
    map_cube(cube, mean_of((interpolated, 0.25), (observed, 0.75)), "id", tmp_path / "map", 144, 0)
    expected = 0.25 * alone[0] + 0.75 * alone[1]
    with rasterio.open(tmp_path / "map" / "classes.tif") as source:
        classes = source.read(1)
    with rasterio.open(tmp_path / "map" / "confidence.tif") as source:
        confidence = source.read(1)
    known = ~np.isnan(expected[0])
    assert known.sum() == 96 * 144 - 40 * 20
    assert (classes[~known] == 255).all()
    first, second = np.sort(expected[:, known], axis=0)[::-1][:2]
    clear = first - second > 2e-3  # 16 bits decide between classes that are alike
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(classes[known][clear], expected[:, known].argmax(axis=0)[clear])
    np.testing.assert_allclose(confidence[known], 100 * first, atol=0.6)
    lineage = json.loads((tmp_path / "map" / "item.json").read_text())["properties"]["processing:lineage"]
    assert "'fake' (weight 0.25, interpolated to 4 steps)" in lineage
    assert "'last' (weight 0.75, every observation" in lineage


def test_members_that_read_alike_share_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cube, read = make_cube(tmp_path / "cube.zarr", utm_grid()), predict.read_patch
    kinds: list[str] = []

    def counted(*arguments: object) -> Sample:
        kinds.append(str(arguments[-1]))
        return read(*arguments)

    monkeypatch.setattr(predict, "read_patch", counted)
    model = mean_of((PixelModel(), 0.2), (PixelModel(make_record(series="observed")), 0.5), (PixelModel(), 0.3))
    list(predict_windows(cube, model, [Window(0, 0, 48, 48)]))
    assert kinds == ["interpolated", "observed"]


def test_where_a_member_knows_nothing_the_others_are_averaged() -> None:
    nothing = np.float32(np.nan)
    one, two, three = (np.array(row, np.float32) for row in ([0.2, nothing], [0.5, 0.6], [nothing, nothing]))
    np.testing.assert_allclose(mean_where_known([one, two], [0.25, 0.75]), [0.425, 0.6], rtol=1e-6)
    np.testing.assert_allclose(mean_where_known([one, three], [0.5, 0.5]), [0.2, np.nan], rtol=1e-6)


def test_a_mean_needs_what_any_of_its_members_needs() -> None:
    landsat = SensorInput(**SENTINEL.model_dump() | {"sensor": "landsat"})
    both = make_record((SENTINEL, landsat))
    sensors = (both.sensors[0].model_copy(update={"absent_bands": ("red", "nir")}), both.sensors[1])
    able = both.model_copy(update={"absent_sensors": ("landsat",), "sensors": sensors, "side": 1, "margin": 3})
    for records in ([able, both], [both, able]):
        record = mean_record("both", "best", records, {})
        assert (record.absent_sensors, record.sensors[0].absent_bands) == ((), ())
        assert (record.side, record.margin) == (96, 3)
    alone = mean_record("both", "best", [able, able], {})
    assert (alone.absent_sensors, alone.sensors[0].absent_bands, alone.side) == (("landsat",), ("red", "nir"), 1)


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("legend", {"legend": Legend.of(["1110", "other", "1121"])}),
        ("season", {"season": (date(2023, 3, 1), date(2023, 9, 30))}),
        ("sensors", {"sensors": make_record((SENTINEL.model_copy(update={"scale": 1e-3}),)).sensors}),
    ],
)
def test_models_that_differ_are_not_averaged(field: str, changes: dict[str, object]) -> None:
    other = make_record(name="other").model_copy(update=changes)
    with pytest.raises(ModelError) as error:
        mean_record("both", "best", [make_record(), other], {})
    assert error.value.facts == {"member": "other", "field": field}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cube, two models of it, and the file of their mean."""
    directory = tmp_path_factory.mktemp("mean")
    project = toy_project(directory, 1, '"tempcnn", "random-forest"')
    train(project)
    models = project.models
    members = [(models / "tempcnn.safetensors", 0.25), (models / "random-forest.skops", 0.75)]
    records = [load_record(path) for path, _ in members]
    record = mean_record("both", "best", records, {"fingerprint": "f"})
    write_mean(models / "both.json", record, members, 7, models / "training.gpkg")
    return models


def copy_of(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "models")
    return tmp_path / "models" / "both.json"


def test_a_stored_mean_answers_as_its_members_do_together(trained: Path) -> None:
    model = load_model(trained / "both.json")
    assert isinstance(model, MeanModel)
    assert model.record.legend == load_record(trained / "both.json").legend
    network, forest = (load_model(trained / name) for name in ("tempcnn.safetensors", "random-forest.skops"))
    cube = open_cube(trained.parent / "cube.zarr")
    window = Window(48, 48, 48, 48)
    found, one, two = (next(predict_windows(cube, one, [window]))[1] for one in (model, network, forest))
    np.testing.assert_allclose(found, 0.25 * one.astype(float) + 0.75 * two.astype(float), atol=1e-3)


def test_a_mean_is_described_and_checked_with_its_members(trained: Path) -> None:
    lines = describe_model(trained / "both.json")
    members = [line.split() for line in lines if line.startswith("member")]
    assert [line[1:4] for line in members] == [
        ["tempcnn.safetensors,", "weight", "0.25,"], ["random-forest.skops,", "weight", "0.75,"],
    ]  # fmt: skip
    fits = check_model(trained / "both.json", trained.parent / "cube.zarr")
    assert [line.split(":")[0] for line in fits] == ["sentinel-2", "landsat"]


@pytest.mark.parametrize("name", ["tempcnn.safetensors", "random-forest.skops"])
def test_a_mean_without_one_of_its_members_is_refused(trained: Path, tmp_path: Path, name: str) -> None:
    path = copy_of(trained, tmp_path)
    (path.parent / name).unlink()
    for use in (load_model, describe_model, lambda path: check_model(path, trained.parent / "cube.zarr")):
        with pytest.raises(ModelError) as error:
            use(path)
        assert error.value.facts["member"] == name


@pytest.mark.parametrize("name", ["tempcnn.safetensors", "random-forest.skops"])
def test_a_mean_of_a_member_that_was_changed_is_refused(trained: Path, tmp_path: Path, name: str) -> None:
    path = copy_of(trained, tmp_path)
    content = bytearray((path.parent / name).read_bytes())
    content[len(content) // 2] ^= 1
    (path.parent / name).write_bytes(content)
    with pytest.raises(ModelError) as error:
        load_model(path)
    assert error.value.facts["member"] == name


def edited(path: Path, **changes: object) -> Path:
    item = json.loads(path.read_text())
    mean = item["properties"]["agrifm:mean"]
    mean["record"] |= changes.pop("record", {})
    mean |= changes
    path.write_text(json.dumps(item))
    return path


def test_a_member_of_another_legend_is_refused(trained: Path, tmp_path: Path) -> None:
    legend = Legend.of(["maize", "rye", "other"]).model_dump(mode="json")
    path = edited(copy_of(trained, tmp_path), record={"legend": legend})
    with pytest.raises(ModelError) as error:
        load_model(path)
    assert error.value.facts["field"] == "legend"


@pytest.mark.parametrize(
    "change",
    [
        {"members": []},
        {"members": [{"file": "../tempcnn.safetensors", "weight": 1.0, "sha256": "0" * 64}]},
        {"members": [{"file": "a.pkl", "weight": 1.0, "sha256": "0" * 64}]},
        {"members": [{"file": "a.skops", "weight": 0.5, "sha256": "0" * 64}]},
        {"members": 2 * [{"file": "a.skops", "weight": 0.5, "sha256": "0" * 64}]},
        {"format": 2},
        {"more": 1},
    ],
)
def test_a_damaged_mean_is_refused(trained: Path, tmp_path: Path, change: dict[str, object]) -> None:
    path = edited(copy_of(trained, tmp_path), **change)
    with pytest.raises(ModelError) as error:
        read_mean(path)
    assert error.value.facts["path"] == path


@pytest.mark.parametrize("content", ["", "[]", "{", '{"properties": []}', '{"properties": {}, "assets": 3}'])
def test_json_that_is_not_a_mean_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "best.json").write_text(content)
    with pytest.raises(ModelError):
        load_record(tmp_path / "best.json")


def test_the_item_of_a_single_model_is_not_a_mean(trained: Path) -> None:
    with pytest.raises(ModelError, match=r"tempcnn\.safetensors"):
        load_model(trained / "tempcnn.json")


def test_a_sample_for_all_members_is_averaged_and_another_refused() -> None:
    record = make_record()
    rng = np.random.default_rng(0)
    image = rng.random((4, 2, 5, 5)).astype(np.float32)
    series = Series(image, np.ones((4, 5, 5), bool), np.arange(4, dtype=np.int32))
    sample = Sample({"sentinel-2": series}, np.zeros((5, 5), np.uint8), Window(0, 0, 5, 5), 0)
    one, two = PixelModel(record), LastModel(record)
    expected = 0.5 * one.probabilities(sample) + 0.5 * two.probabilities(sample)
    np.testing.assert_allclose(mean_of((one, 0.5), (two, 0.5)).probabilities(sample), expected, rtol=1e-5)
    mean = mean_of((one, 0.5), (two, 0.5))
    flat = mean.record.model_copy(update={"calibration": Calibration(kind="temperature", temperature=2)})
    calibrated_mean = replace(mean, record=flat).probabilities(sample)
    np.testing.assert_allclose(calibrated_mean, np.sqrt(expected) / np.sqrt(expected).sum(axis=0), rtol=1e-5)
    other = LastModel(make_record(series="observed", name="last"))
    with pytest.raises(ModelError) as error:
        mean_of((one, 0.5), (other, 0.5)).probabilities(sample)
    assert error.value.facts == {"member": "last"}
