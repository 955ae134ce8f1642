"""Classes of the labels in the classes of a task."""

import numpy as np
import pytest

from agrifm.errors import LabelError
from agrifm.legend import Legend, LegendClass
from agrifm.model_config import ModelConfig
from agrifm.samples.task_labels import task_classes

LEGEND = Legend(
    classes=(
        LegendClass(code="11", name="soft wheat", color="#112233"),
        LegendClass(code="12", name="durum wheat", color="#223344"),
        LegendClass(code="30", name="mixed forest", color="#334455"),
        LegendClass(code="40", name="grass", color="#445566", scored=False),
        LegendClass(code="50", name="maize", color="#556677"),
    )
)
EVERY = np.arange(5, dtype=np.uint8)


def numbers(config: ModelConfig, label: np.ndarray = EVERY) -> list[int]:
    return task_classes(LEGEND, label, config, "test").number[[0, 1, 2, 3, 4, 255]].tolist()


def test_cropland_is_what_is_scored_and_not_named_as_land() -> None:
    found = task_classes(LEGEND, EVERY, ModelConfig(task="cropland"), "test")
    assert found.number[[0, 1, 2, 3, 4, 255]].tolist() == [0, 0, 1, 1, 0, 255]
    assert found.legend.codes == ("cropland", "other")
    assert [entry.members for entry in found.legend.classes] == [("11", "12", "50"), ("30", "40")]
    assert [entry.scored for entry in found.legend.classes] == [True, False]
    assert found.legend.encode([50, "30", "other", "cropland"]).tolist() == [0, 1, 1, 0]
    assert all(code in found.notes[0] for code in ("11", "12", "50", "30", "40"))


def test_the_crops_of_cropland_can_be_stated_by_code_or_name() -> None:
    assert numbers(ModelConfig(task="cropland", crops=("grass", "11", "12", "50"))) == [0, 0, 1, 0, 0, 255]


def test_one_crop_may_have_several_codes() -> None:
    found = task_classes(LEGEND, EVERY, ModelConfig(task="one-crop", crop=("11", "durum wheat")), "test")
    assert found.number[[0, 1, 2, 3, 4, 255]].tolist() == [0, 0, 1, 1, 1, 255]
    assert (found.legend.classes[0].name, found.legend.classes[0].color) == ("soft wheat + durum wheat", "#112233")
    assert found.legend.encode([11, 12, 50]).tolist() == [0, 0, 1]


def test_land_cover_scores_every_class_and_crop_type_changes_nothing() -> None:
    assert all(entry.scored for entry in task_classes(LEGEND, EVERY, ModelConfig(task="land-cover"), "").legend.classes)
    assert task_classes(LEGEND, EVERY, ModelConfig(), "").legend == LEGEND
    assert numbers(ModelConfig()) == numbers(ModelConfig(task="land-cover")) == [0, 1, 2, 3, 4, 255]


@pytest.mark.parametrize(("crop", "labelled"), [("maiz", EVERY), ("maize", EVERY[:4])])
def test_a_crop_that_no_label_has_is_refused(crop: str, labelled: np.ndarray) -> None:
    with pytest.raises(LabelError) as error:
        numbers(ModelConfig(task="one-crop", crop=crop), labelled)
    assert error.value.facts["crop"] == crop
    assert ("did you mean 'maize'" in str(error.value)) == (crop == "maiz")


@pytest.mark.parametrize("labelled", [EVERY[:2], EVERY[2:4]])
def test_labels_that_are_all_or_none_of_the_class_are_refused(labelled: np.ndarray) -> None:
    with pytest.raises(LabelError) as error:
        numbers(ModelConfig(task="cropland"), labelled)
    assert error.value.facts["labels"] == ("11, 12" if labelled[0] == 0 else "30, 40")
    assert "crops" in str(error.value)


def test_a_legend_cannot_give_a_code_two_meanings() -> None:
    members = ("12", "30")
    classes = (LegendClass(code="a", name="a", color="#000000", members=members), LEGEND.classes[1])
    with pytest.raises(ValueError, match="'12' twice"):
        Legend(classes=classes)
