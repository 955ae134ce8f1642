"""Classic models in files: the same probabilities after reading, and crafted files end in a sentence."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skops import io
from tests.classic.test_forest import sample_of

from agrifm.classic.boosting_structure import sound_text
from agrifm.classic.classic_model import (
    ClassicModel,
    classic_record,
    load_classic,
    record_columns,
    save_classic,
)
from agrifm.classic.classics import CHOICE, CLASSICS, candidate_parts, fit_classic
from agrifm.classic.features import Columns
from agrifm.errors import ModelError
from agrifm.inference.predictor import load_model
from agrifm.legend import Legend
from agrifm.record import TRAINABLE, ModelRecord, SensorInput, SensorRecord, is_classic

FRAMES = 10
INPUT = SensorInput(sensor="a", bands=("nir", "red"), quantity="surface reflectance", scale=1e-4, resolution=10)


def fitted(name: str) -> ClassicModel:
    """A model of classes 0, 2 and 3 of the legend's four, on noise around three shapes of a season."""
    generator = np.random.default_rng(0)
    parts = candidate_parts(name)
    columns = Columns((INPUT,), FRAMES, parts)
    rows = generator.random((90, columns.width), np.float32)
    classes = np.array([0, 2, 3], np.uint8)[np.arange(90) % 3]
    rows += classes[:, None] * np.float32(0.3)
    model = fit_classic(name, rows, classes, groups=np.arange(90) // 9, columns=columns)
    record = ModelRecord(
        name=name,
        family=name,
        architecture={},
        sensors=(SensorRecord(**INPUT.model_dump(), mean=(0, 0), std=(1, 1)),),
        frames=FRAMES,
        side=48,
        legend=Legend.of(["a", "never seen", "c", "d"]),
        season=(date(2024, 1, 1), date(2024, 6, 1)),
    )
    record = classic_record(record, model)
    return ClassicModel(record, model.reading(record_columns(record)))


@pytest.fixture(scope="module")
def models() -> dict[str, ClassicModel]:
    return {name: fitted(name) for name in CLASSICS}


def test_the_models_are_the_classic_families_that_can_be_trained() -> None:
    assert set(CLASSICS) == {name for name in TRAINABLE if is_classic(name)}


@pytest.mark.parametrize("name", CLASSICS)
def test_a_stored_model_maps_the_same(models: dict[str, ClassicModel], name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.skops"
    save_classic(path, models[name])
    again = load_model(path)
    assert again.record == models[name].record
    sample = sample_of(np.random.default_rng(1).random((FRAMES, 2, 11, 7)))
    found = again.probabilities(sample)
    np.testing.assert_allclose(found, models[name].probabilities(sample), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-5)
    assert (found[1] == 0).all()


def test_the_choice_lists_what_was_tried_and_averages_its_members(models: dict[str, ClassicModel]) -> None:
    model = models[CHOICE]
    *single, chosen = model.record.training["tried"]
    assert [name for entry in single for name in entry["models"]] == list(CLASSICS[CHOICE])
    assert [entry["chosen"] for entry in (*single, chosen)] == [False] * len(single) + [True]
    ranked = sorted(single, key=lambda entry: -entry["inner_macro_f1"])
    assert chosen["models"] == [name for entry in ranked[:3] for name in entry["models"]]
    assert chosen["models"] == model.record.architecture["members"] == [one.name for one in model.rows.members]
    rows = np.random.default_rng(2).random((5, record_columns(model.record).width), np.float32)
    each = [member.probabilities(rows) for member in model.rows.members]
    np.testing.assert_allclose(model.rows.probabilities(rows), np.mean(each, axis=0), rtol=1e-5)


@pytest.mark.parametrize("name", ["extra-trees", "random-forest"])
def test_the_probabilities_of_a_forest_are_those_of_scikit_learn(models: dict[str, ClassicModel], name: str) -> None:
    """Oracle: `predict_proba` of the fitted forest."""
    (member,) = models[name].rows.members
    rows = np.random.default_rng(4).random((70, record_columns(models[name].record).width)) * 2
    expected = member.model.forest.predict_proba(rows[:, member.chosen].astype(np.float32))
    np.testing.assert_array_equal(member.probabilities(rows.astype(np.float32)), expected.astype(np.float32))


def test_a_rebuilt_booster_predicts_as_lightgbm_does(models: dict[str, ClassicModel]) -> None:
    """Oracle: LightGBM's booster before its text was taken apart."""
    import lightgbm

    model = models["lightgbm"].rows.members[0].model
    text = model.state()["text"]
    width = record_columns(models["lightgbm"].record).width
    rows = np.random.default_rng(3).random((40, width), np.float32) * 2
    again = lightgbm.Booster(model_str=sound_text(text, width, 3))
    np.testing.assert_array_equal(again.predict(rows), lightgbm.Booster(model_str=text).predict(rows))


def line(key: str, change: Callable[[list[str]], list[str]], tree: int = 0) -> Callable[[str], str]:
    """A text with the numbers of one key of a tree changed."""

    def changed(text: str) -> str:
        lines = text.splitlines()
        at = [number for number, one in enumerate(lines) if one.startswith(f"{key}=")][tree]
        lines[at] = f"{key}={' '.join(change(lines[at].split('=')[1].split()))}"
        return "\n".join(lines)

    return changed


TEXTS: dict[str, Callable[[str], str]] = {
    "empty": lambda _: "",
    "no tree": lambda text: text.split("\nTree=0")[0] + "\nend of trees\n",
    "a tree fewer": lambda text: text.split("\nTree=1\n")[0] + "\nend of trees\n",
    "other classes": lambda text: text.replace("num_class=3", "num_class=300"),
    "other features": lambda text: text.replace("max_feature_idx=", "max_feature_idx=9"),
    "a child outside": line("left_child", lambda words: ["1000000", *words[1:]]),
    "a leaf outside": line("left_child", lambda words: ["-1000000", *words[1:]]),
    "a circle": line("left_child", lambda words: ["0", *words[1:]]),
    "one child twice": line("right_child", lambda words: ["-1"] * len(words)),
    "a feature outside": line("split_feature", lambda words: ["99999", *words[1:]]),
    "a negative feature": line("split_feature", lambda words: ["-1", *words[1:]]),
    "a set for a threshold": line("decision_type", lambda words: ["1", *words[1:]]),
    "a threshold without a number": line("threshold", lambda words: ["nan", *words[1:]]),
    "an endless leaf": line("leaf_value", lambda words: ["inf", *words[1:]]),
    "a word": line("leaf_value", lambda words: ["many", *words[1:]]),
    "too few leaves": line("leaf_value", lambda words: words[1:]),
    "more leaves stated": line("num_leaves", lambda _: ["99999"]),
    "no leaves stated": line("num_leaves", lambda _: ["0"]),
    "a linear tree": line("is_linear", lambda _: ["1"]),
    "sets": line("num_cat", lambda _: ["2"]),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_crafted_booster_is_refused(models: dict[str, ClassicModel], name: str) -> None:
    text = models["lightgbm"].rows.members[0].model.state()["text"]
    width = record_columns(models["lightgbm"].record).width
    assert sound_text(text, width, 3)
    with pytest.raises((ValueError, KeyError)):
        sound_text(TEXTS[name](text), width, 3)


def state(model: str, *keys: str | int, value: Any) -> tuple[str, Callable[[dict[str, Any]], None]]:
    def change(content: dict[str, Any]) -> None:
        for key in keys[:-1]:
            content = content[key]  # type: ignore[index]
        content[keys[-1]] = value(content[keys[-1]]) if callable(value) else value  # type: ignore[index]

    return model, change


MEMBER = ("members", 0)
FILES = {
    "classes outside the legend": state("logistic", "classes", value=np.array([0, 2, 9], np.uint8)),
    "classes out of order": state("logistic", "classes", value=np.array([2, 0, 3], np.uint8)),
    "no members": state("logistic", "members", value=[]),
    "an unknown member": state("logistic", *MEMBER, "name", value="oracle"),
    "a member of another kind": state("logistic", *MEMBER, "name", value="support-vectors"),
    "unknown parts": state("logistic", *MEMBER, "parts", value=["neighbourhood"]),
    "fewer parts": state("logistic", *MEMBER, "parts", value=["series"]),
    "weights of another shape": state("logistic", *MEMBER, "state", "weights", value=lambda array: array[:-1]),
    "weights that are not numbers": state("logistic", *MEMBER, "state", "weights", value=lambda array: array * np.nan),
    "weights as texts": state("logistic", *MEMBER, "state", "bias", value="many"),
    "a kernel without width": state("support-vectors", *MEMBER, "state", "gamma", value=-1.0),
    "a scaling by 0": state("support-vectors", *MEMBER, "state", "std", value=lambda array: array * 0),
    "a kernel outside": state("minirocket", *MEMBER, "state", "kernels", "kernel", value=lambda array: array + 84),
    "a long dilation": state("minirocket", *MEMBER, "state", "kernels", "dilation", value=lambda array: array * 10**9),
    "a forest that is a list": state("extra-trees", *MEMBER, "state", "forest", value=[1]),
    "a text that is a number": state("lightgbm", *MEMBER, "state", "text", value=1),
}


@pytest.mark.parametrize("name", FILES)
def test_a_crafted_file_is_refused(models: dict[str, ClassicModel], name: str, tmp_path: Path) -> None:
    kind, change = FILES[name]
    path = tmp_path / "model.skops"
    save_classic(path, models[kind])
    content = io.load(path, trusted=["sklearn.tree._tree.Tree"])
    change(content["classic"])
    path.write_bytes(io.dumps(content))
    with pytest.raises(ModelError) as error:
        load_classic(path)
    assert error.value.facts["path"] == path
    assert "\n" not in str(error.value)
