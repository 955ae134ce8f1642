"""`agrifm explain` finds the one band and month that a known model looks at, and refuses what it cannot explain."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from tests.toy import CLASSES, SEASON, toy_project

from agrifm.errors import ConfigError, LabelError, ModelError, OutputError
from agrifm.explain import write_explanation as writing
from agrifm.explain.explanation import Request
from agrifm.explain.findings import COLUMNS, class_findings
from agrifm.explain.selection import draw_pixels_by_class
from agrifm.explain.write_explanation import PAGE, TABLE, explain_model, write_explanation
from agrifm.legend import UNLABELLED, Legend
from agrifm.record import ModelRecord, SensorRecord
from agrifm.samples.sample import Sample
from agrifm.samples.split import HeldOutBlocks

SENSORS = tuple(
    SensorRecord(
        sensor=name, bands=bands, quantity="surface reflectance", scale=1e-4, resolution=side, mean=(0.3, 0.3),
        std=(0.1, 0.1),
    )
    for name, bands, side in (("sentinel-2", ("B04", "B08"), 10), ("landsat", ("B04", "B05"), 30))
)  # fmt: skip


class JuneModel:
    """Knows crops by the near infrared of Sentinel-2 at the last step, in June; it is no network of PyTorch."""

    def __init__(self, classes: tuple[str, ...] = CLASSES) -> None:
        self.record = ModelRecord(
            name="june",
            family="other",
            architecture={},
            sensors=SENSORS,
            frames=4,
            side=48,
            legend=Legend.of(classes),
            season=(SEASON.start, SEASON.end),
        )

    def probabilities(self, sample: Sample) -> np.ndarray:
        """(3, H, W): maize is green in June, wheat is not, other land is in between."""
        nir = sample.series["sentinel-2"].image[-1, 1]
        middle = {"maize": 0.46, "other": 0.3, "wheat": 0.14}
        scores = np.exp([-((nir - middle[code]) ** 2) / 0.005 for code in self.record.legend.codes])
        return (scores / scores.sum(axis=0)).astype(np.float32)


def table_of(directory: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((directory / TABLE).read_text(encoding="utf-8").splitlines()))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return toy_project(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def june(project, monkeypatch):
    model = project.directory / "june.skops"
    model.write_bytes(b"june")
    monkeypatch.setattr(writing, "load_model", lambda path: JuneModel())
    return model


def test_only_the_band_and_the_month_that_the_model_reads_light_up(project, june, tmp_path):
    out = tmp_path / "why"
    lines = write_explanation(project, june, out, Request(pixels=60, blocks=4, parcels=("3", "7")))
    assert "not a PyTorch network" in lines[0]
    rows = table_of(out)
    assert tuple(rows[0]) == COLUMNS
    assert {row["method"] for row in rows} == {"occlusion"}
    lit = {(row["sensor"], row["band"]) for row in rows if float(row["contribution"]) != 0}
    assert lit == {("sentinel-2", "B08"), ("all", "all")}
    # one pixel in twenty is seen in June on its last day only, and its last step is bridged from May
    of_june = {("2024-06-01", "2024-06-29"), ("2024-04-01", "2024-06-29")}
    of_classes = [row for row in rows if row["kind"] == "class" and row["unit"] == "probability"]
    rest = [float(row["contribution"]) for row in of_classes if (row["start"], row["end"]) not in of_june]
    assert max(map(abs, rest)) < 0.1
    # without June it is taken for what it was in May: a crop of less green, or more of it
    june_of = {
        row["class"]: row for row in of_classes if row["band"] == "all" and row["start"] == "2024-06-01"
    }  # fmt: skip
    for code in ("maize", "wheat"):
        assert float(june_of[code]["low"]) > 0.2
        assert june_of[code]["pixels"] == "60"
    assert abs(float(june_of["other"]["contribution"])) < float(june_of["maize"]["contribution"])
    page = (out / PAGE).read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 5  # three classes and two parcels
    assert "http" not in page
    names = {path.name for path in out.glob("*.png")}
    assert names == {"class-maize.png", "class-other.png", "class-wheat.png", "parcel-3.png", "parcel-7.png"}
    assert json.loads((out / "explanation.json").read_text())["gap_nats"] is None
    # the same seed gives the same numbers
    again = class_findings(explain_model(project, june, Request(pixels=60, blocks=4, bands=False)))
    np.testing.assert_array_equal(
        [round(float(one.occlusion.mean[0, 3]), 6) for one in again],
        [float(june_of[code]["contribution"]) for code in CLASSES],
    )


def test_what_cannot_be_explained_is_refused_before_any_work(project, june, tmp_path, monkeypatch):
    out = tmp_path / "why"
    with pytest.raises(LabelError) as error:
        write_explanation(project, june, out, Request(parcels=("P99",)))
    assert error.value.facts["parcel"] == "P99"
    with pytest.raises(LabelError) as error:
        write_explanation(project, june, out, Request(parcels=("3",), column="parcel"))
    assert error.value.facts["column"] == "parcel"
    with pytest.raises(ConfigError) as error:
        write_explanation(project, june, out, Request(pixels=0))
    assert error.value.facts["pixels"] == 0
    monkeypatch.setattr(writing, "load_model", lambda path: JuneModel((*CLASSES, "sugar beet")))
    with pytest.raises(ModelError):
        write_explanation(project, june, out)
    assert not out.exists()
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(OutputError):
        write_explanation(project, june, out)
    assert [path.name for path in out.iterdir()] == ["notes.txt"]


def test_rare_classes_have_pixels_from_drawn_blocks():
    """A class of a single block is drawn however few blocks are; common classes give no more than asked for."""
    rng = np.random.default_rng(3)
    block = np.arange(100, dtype=np.int32).reshape(10, 10).repeat(6, 0).repeat(6, 1)
    label = rng.integers(0, 2, block.shape).astype(np.uint8)
    label[block % 7 == 0] = UNLABELLED
    label[block == 51] = 2
    unseen = HeldOutBlocks(label, block, block, np.ones(3, bool))
    drawn = draw_pixels_by_class(unseen, 3, 40, 8, seed=1)
    assert drawn.blocks == 8
    number, of_block = np.divmod(drawn.unit[drawn.unit >= 0], 8)
    assert np.bincount(number).tolist() == [40, 40, 36]
    np.testing.assert_array_equal(number, label[drawn.unit >= 0])
    assert len({tuple(pair) for pair in zip(of_block, block[drawn.unit >= 0], strict=True)}) == 8
    per_block = np.bincount(of_block[number == 0], minlength=8)
    assert per_block[per_block > 0].min() >= 5
