"""Comparisons: the protocol, what is counted, what is kept, and a page that shows it."""

import csv
import json
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score
from tests.samples.tables import series_table
from tests.train.stand_ins import MIXED, STAND_INS, nearest_mean

from agrifm.errors import AgriFMError, ConfigError, LabelError
from agrifm.legend import Legend
from agrifm.samples.folds import Budget
from agrifm.samples.table import SeriesTable
from agrifm.train.combination import Fitted, best_weights
from agrifm.train.compare import compare_sets, comparison_lines
from agrifm.train.protocol import LabelledSet, ProtocolConfig, divide_set, draws, read_budget

TABLE = series_table()
NOISY = series_table(noise=0.5, seed=1)
CONFIG = ProtocolConfig(budgets=(1, 5, "25 %", "100 %"), draws=2, folds=4, distance=500)
SECONDS = ("fit_seconds", "predict_seconds_per_1000")
KILLED = """
import sys, threading
from pathlib import Path
from tests.samples.tables import series_table
from tests.train.stand_ins import STAND_INS, kill_after
from agrifm.train.compare import compare_sets
from agrifm.train.protocol import LabelledSet, ProtocolConfig
out = Path(sys.argv[1])
threading.Thread(target=kill_after, args=(out, int(sys.argv[2])), daemon=True).start()
config = ProtocolConfig(budgets=(1, 5, "25 %", "100 %"), draws=2, folds=4, distance=500)
compare_sets([LabelledSet("noisy", series_table(noise=0.5, seed=1))], ["classic", "chance"], config, out,
             learners=STAND_INS, combinations={})
"""


def run(out: Path, table: SeriesTable = NOISY, models: tuple[str, ...] = ("classic", "chance"), **more: Any) -> Any:
    config = CONFIG.model_copy(update={key: more.pop(key) for key in ("leaks", "budgets", "distance") if key in more})
    return compare_sets(
        [LabelledSet("noisy", table)], models, config, out, **{"learners": STAND_INS, "combinations": MIXED, **more}
    )


def comparable(content: Any) -> Any:
    """Everything but times."""
    rows = [{key: value for key, value in row.items() if key not in SECONDS} for row in content["results"]]
    return {**{key: content[key] for key in ("models", "sets")}, "results": rows}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return run(tmp_path_factory.mktemp("whole") / "out", models=("first", "classic", "chance", "mean"))


def row_of(content: Any, model: str, budget: str = "100 %") -> Any:
    return next(row for row in content["results"] if (row["model"], row["budget"]) == (model, budget))


def test_scores_are_those_of_scikit_learn_on_all_places_together(whole: Any) -> None:
    division = divide_set(LabelledSet("noisy", NOISY), CONFIG)
    predicted = np.full(len(NOISY), 255)
    for draw in draws(NOISY, division, CONFIG):
        if draw.budget.is_all:
            fitted = nearest_mean(NOISY.of(draw.training), NOISY.of(draw.validation), 0)
            predicted[draw.test] = fitted.probabilities(NOISY.of(draw.test)).argmax(axis=1)
    row = row_of(whole, "classic")
    assert row["macro_f1"] == pytest.approx(f1_score(NOISY.label, predicted, average="macro"))
    assert row["overall_accuracy"] == pytest.approx(accuracy_score(NOISY.label, predicted))
    assert [one["f1"] for one in row["f1"].values()] == pytest.approx(f1_score(NOISY.label, predicted, average=None))
    low, high = row["macro_f1_interval"]
    assert 0 < low < row["macro_f1"] < high < 1


def test_merged_classes_are_those_of_scikit_learn_on_all_places_together(tmp_path: Path) -> None:
    """Maize and wheat have one parent, grass has none."""
    entries = [
        entry.model_copy(update={"parent": None if entry.code == "grass" else "crop"}) for entry in NOISY.legend.classes
    ]
    table = replace(NOISY, legend=Legend(classes=tuple(entries)))
    content = run(tmp_path / "out", table, models=("classic",), budgets=("100 %",))
    config = CONFIG.model_copy(update={"budgets": ("100 %",)})
    predicted = np.full(len(NOISY), 255)
    for draw in draws(table, divide_set(LabelledSet("noisy", table), config), config):
        fitted = nearest_mean(table.of(draw.training), table.of(draw.validation), 0)
        predicted[draw.test] = fitted.probabilities(table.of(draw.test)).argmax(axis=1)
    is_grass, guess = (number == table.legend.codes.index("grass") for number in (table.label, predicted))
    level = row_of(content, "classic")["levels"]["1 level up"]
    assert level["macro_f1"] == pytest.approx(f1_score(is_grass, guess, average="macro"))
    assert level["overall_accuracy"] == pytest.approx(accuracy_score(is_grass, guess))
    assert level["macro_f1"] > row_of(content, "classic")["macro_f1"]
    about = content["sets"]["noisy"]
    assert about["levels"][0]["without_parent"] == ["grass"]
    assert any("grass" in note for note in about["notes"])
    assert "1 level up" in (tmp_path / "out" / "report.html").read_text()


def test_a_model_of_one_class_has_the_scores_that_follow(whole: Any) -> None:
    row = row_of(whole, "first")
    share = float(np.mean(NOISY.label == 0))
    assert row["overall_accuracy"] == pytest.approx(share)
    assert row["macro_f1"] == pytest.approx(2 * share / (1 + share) / 3)
    assert row["calibration_error"] == pytest.approx(1 - share)
    assert row["average_precision"] == pytest.approx(1 / 3)


def test_more_labels_help_and_differences_are_paired(whole: Any) -> None:
    few, many = (row_of(whole, "classic", budget)["macro_f1"] for budget in ("1 per class", "100 %"))
    assert few < many - 0.05
    difference = row_of(whole, "chance")["difference"]
    assert difference["macro_f1"] == pytest.approx(row_of(whole, "chance")["macro_f1"] - many)
    assert difference["interval"][1] < 0
    assert row_of(whole, "classic")["difference"] is None


def test_budgets_are_drawn_alike_for_every_model(whole: Any) -> None:
    for model in whole["models"]:
        rows = [row for row in whole["results"] if row["model"] == model]
        assert [row["labels"] for row in rows] == [3, 15, 23, 90]
        assert [row["draws"] for row in rows] == [2, 2, 2, 1]
        assert [row["fits"] for row in rows] == [8, 8, 8, 4]


def test_a_combination_is_the_mean_of_its_parts_and_trains_nothing(whole: Any) -> None:
    row = row_of(whole, "mean")
    assert row["chosen"] == {"classic 0.5, chance 0.5": 4}
    cells = list((Path(whole["directory"]) / "cells").iterdir())
    assert len(cells) == 3 * (3 * 8 + 4)


def test_a_combination_of_combinations_is_what_its_learner_trains(tmp_path: Path) -> None:
    content = run(tmp_path / "out", models=("nested",), budgets=("100 %",))
    assert len(list((tmp_path / "out" / "cells").iterdir())) == 3 * 4
    learner = MIXED["nested"].learner(STAND_INS, MIXED)
    predicted = np.full(len(NOISY), 255)
    config = CONFIG.model_copy(update={"budgets": ("100 %",)})
    for draw in draws(NOISY, divide_set(LabelledSet("noisy", NOISY), config), config):
        fitted = learner(NOISY.of(draw.training), NOISY.of(draw.validation), draw.seed)
        predicted[draw.test] = fitted.probabilities(NOISY.of(draw.test)).argmax(axis=1)
    assert row_of(content, "nested")["macro_f1"] == pytest.approx(f1_score(NOISY.label, predicted, average="macro"))


def test_a_model_cannot_see_the_labels_of_the_test(tmp_path: Path) -> None:
    row = row_of(run(tmp_path / "out", models=("peeking",), budgets=("100 %",)), "peeking")
    assert row["overall_accuracy"] == pytest.approx(np.mean(NOISY.label == 0))


def test_a_stopped_comparison_continues_and_gives_the_same(tmp_path: Path, whole: Any) -> None:
    trained = []

    def stopping(training: SeriesTable, validation: SeriesTable, seed: int) -> Fitted:
        if len(trained) == 9:
            raise KeyboardInterrupt
        trained.append(seed)
        return nearest_mean(training, validation, seed)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "out", learners={**STAND_INS, "classic": stopping})
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out" / "cells").iterdir()}
    assert len(kept) == 2 * 9  # both models that are trained, draw by draw
    assert not (tmp_path / "out" / "report.html").exists()
    content = run(tmp_path / "out", models=("first", "classic", "chance", "mean"))
    assert comparable(content) == comparable(whole)
    cells = tmp_path / "out" / "cells"
    assert {name: (cells / name).stat().st_mtime_ns for name in kept} == kept


def test_a_damaged_cell_is_trained_again(tmp_path: Path) -> None:
    first = run(tmp_path / "out", budgets=("100 %",))
    cell = sorted((tmp_path / "out" / "cells").iterdir())[0]
    cell.write_bytes(cell.read_bytes()[:100])
    again = run(tmp_path / "out", budgets=("100 %",))
    assert comparable(again) == comparable(first)
    assert cell.stat().st_size > 100


@pytest.mark.check
def test_a_killed_comparison_continues_and_gives_the_same(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole")
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "out"), "20"], check=False)
    assert done.returncode == -9
    assert 20 <= len(list((tmp_path / "out" / "cells").glob("*.npz"))) < 56
    assert comparable(run(tmp_path / "out")) == comparable(whole)


@pytest.mark.check
def test_processes_give_the_same(tmp_path: Path, whole: Any) -> None:
    with ProcessPoolExecutor(2) as executor:
        content = run(tmp_path / "out", models=("first", "classic", "chance", "mean"), executor=executor)
    assert comparable(content) == comparable(whole)


def test_changed_labels_are_another_comparison(tmp_path: Path) -> None:
    run(tmp_path / "out", budgets=("100 %",))
    before = set((tmp_path / "out" / "cells").iterdir())
    label = NOISY.label.copy()
    label[0] = 1 - label[0]
    run(tmp_path / "out", replace(NOISY, label=label), budgets=("100 %",))
    assert len(set((tmp_path / "out" / "cells").iterdir()) - before) == len(before)


def test_what_cannot_be_trained_is_said_and_the_rest_is_scored(tmp_path: Path) -> None:
    content = run(tmp_path / "out", models=("classic", "refusing"), budgets=("100 %",))
    assert "never trains" in row_of(content, "refusing")["failure"]
    assert row_of(content, "classic")["failure"] == ""
    assert "never trains" in (tmp_path / "out" / "report.html").read_text()
    assert any("never trains" in line for line in comparison_lines(content))


def test_neighbours_are_refused_or_removed_and_listed(tmp_path: Path) -> None:
    lon = NOISY.lon.copy()
    near = np.flatnonzero(NOISY.block == 0)[0], np.flatnonzero(NOISY.block == 1)[0]
    lon[near[0]] = lon[near[1]] + 2e-3  # about 140 m
    table = replace(NOISY, lon=lon, fold=(NOISY.block % 4).astype(np.int8))
    with pytest.raises(LabelError) as error:
        run(tmp_path / "out", table)
    assert error.value.facts["neighbour"] > 0
    content = run(tmp_path / "out", table, leaks="remove", budgets=("100 %",))
    removed = content["sets"]["noisy"]["removed"]
    assert f"p{near[1]}" in removed["0"]
    assert f"p{near[0]}" in removed["1"]
    assert content["sets"]["noisy"]["leaks"]["2"]["neighbour"] == 0
    assert any("nearer than" in note for note in content["sets"]["noisy"]["notes"])


def test_a_class_that_one_fold_has_alone_counts_and_is_named(tmp_path: Path) -> None:
    label = np.where((NOISY.label == 2) & (NOISY.block != 0), 0, NOISY.label).astype(np.uint8)
    content = run(tmp_path / "out", replace(NOISY, label=label), budgets=("100 %",))
    row = row_of(content, "classic")
    assert row["f1"]["grass"]["f1"] == 0
    assert row["macro_f1"] == pytest.approx(np.mean([one["f1"] for one in row["f1"].values()]))
    assert row["macro_f1_scored"] == pytest.approx((row["f1"]["maize"]["f1"] + row["f1"]["wheat"]["f1"]) / 2)
    assert content["sets"]["noisy"]["scored_left_out"] == ["grass"]
    assert any("grass" in note for note in content["sets"]["noisy"]["notes"])


def test_official_training_and_test_are_one_fold(tmp_path: Path) -> None:
    test = np.flatnonzero(NOISY.block >= 8)
    labelled = LabelledSet("noisy", NOISY, (np.flatnonzero(NOISY.block < 8), test))
    content = compare_sets([labelled], ["classic"], CONFIG, tmp_path / "out", learners=STAND_INS, combinations={})
    assert content["sets"]["noisy"]["test_places"] == len(test)
    assert [row["fits"] for row in content["results"]] == [2, 2, 2, 1]


def test_a_test_of_one_block_and_few_places_is_reported_without_interval(tmp_path: Path) -> None:
    block = np.flatnonzero(NOISY.block == NOISY.block[-1])
    test = np.concatenate([block[NOISY.label[block] == number][:5] for number in range(len(NOISY.legend))])
    labelled = LabelledSet("noisy", NOISY, (np.flatnonzero(NOISY.block < NOISY.block[-1]), np.sort(test)))
    models = ["classic", "chance"]
    content = compare_sets([labelled], models, CONFIG, tmp_path / "out", learners=STAND_INS, combinations={})
    row = row_of(content, "chance")
    assert row["macro_f1"] is not None
    assert row["macro_f1_interval"] == row["difference"]["interval"] == [None, None]
    assert row["macro_f1_scored"] is None  # no class has 15 places
    assert all("one block" in line for line in comparison_lines(content) if "macro F1" in line)
    assert (tmp_path / "out" / "report.html").exists()


def test_an_unknown_model_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        run(tmp_path / "out", models=("clasic",))
    assert error.value.facts["model"] == "clasic"
    assert "did you mean 'classic'" in str(error.value)
    assert not (tmp_path / "out").exists()


def test_fewer_blocks_than_folds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelError) as error:
        run(tmp_path / "out", replace(NOISY, block=NOISY.block // 6))
    assert error.value.facts == {"blocks": 2, "folds": 4}


def test_files_of_others_are_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(AgriFMError):
        run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("written", [0, -1, "0 %", "101 %", "five", "", True])
def test_a_budget_that_is_none_is_refused(written: Any) -> None:
    with pytest.raises(ValueError, match="budget"):
        read_budget(written)


def test_budgets_are_read_as_written() -> None:
    found = [read_budget(one) for one in (5, "5", "5 %", "2.5%", "100 %")]
    assert found == [Budget(5), Budget(5), Budget(share=0.05), Budget(share=0.025), Budget()]
    assert read_budget(1) != read_budget("100 %")


class Page(HTMLParser):
    """Addresses in a page, and whether every tag is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_needs_no_network_and_escapes_names(tmp_path: Path) -> None:
    legend = NOISY.legend.model_copy(
        update={
            "classes": tuple(
                entry.model_copy(update={"name": f"<b>{entry.code} & $x_1$"}) for entry in NOISY.legend.classes
            )
        }
    )
    content = compare_sets(
        [LabelledSet("<i>set", replace(NOISY, legend=legend))],
        ["classic", "chance"],
        CONFIG,
        tmp_path / "out",
        learners=STAND_INS,
        combinations={},
    )
    text = (tmp_path / "out" / "report.html").read_text()
    page = Page()
    page.feed(text)
    assert not page.open
    assert len(page.addresses) == 3
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert "<b>" not in text
    assert "<i>" not in text
    assert f"{row_of(content, 'classic')['macro_f1']:.3f}" in text


def test_the_csv_and_the_json_agree(whole: Any) -> None:
    directory = Path(whole["directory"])
    stored = json.loads((directory / "comparison.json").read_text())
    with (directory / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(stored["results"]) == 4 * 4
    for line, row in zip(rows, stored["results"], strict=True):
        assert (line["model"], line["budget"]) == (row["model"], row["budget"])
        assert float(line["macro_f1"]) == row["macro_f1"]
        assert float(line["macro_f1_low"]) == row["macro_f1_interval"][0]


def test_the_average_is_kept_unless_a_part_is_clearly_better() -> None:
    generator = np.random.default_rng(0)
    label = generator.integers(0, 3, 200).astype(np.uint8)
    right = np.eye(3, dtype=np.float32)[label]
    wrong = np.eye(3, dtype=np.float32)[(label + 1) % 3]
    chance = generator.dirichlet(np.ones(3), 200).astype(np.float32)
    names = ("one", "two")
    assert best_weights(names, {"one": 0.6 * right + 0.4 * wrong, "two": wrong}, label) == {"one": 1.0}
    assert best_weights(names, {"one": chance, "two": chance[::-1]}, label) == {"one": 0.5, "two": 0.5}
    assert best_weights(names, {}, label[:0]) == {"one": 0.5, "two": 0.5}
