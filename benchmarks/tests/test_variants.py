"""Variants of a toy project: missing ones are trained, finished ones are not, and they are compared."""

from pathlib import Path
from typing import Any

import pytest
import variants
import what_pays
from measure import read_runs
from tests.toy import toy_project
from variants import Variant, by_variant, difference, read_demo, train_missing

from agrifm.train.fit import Outcome


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs of two decoders, of one seed, in two parts and files."""
    directory = tmp_path_factory.mktemp("toy")
    toy_project(directory)
    demo = read_demo(directory, steps=2)
    decoders = {name: Variant(config) for name, config in what_pays.with_decoders(demo.network).items()}
    files = [directory / "one.jsonl", directory / "other.jsonl"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(variants, "SEEDS", (0,))
        train_missing(demo, decoders, files[:1], "0/2")
        train_missing(demo, decoders, files[1:], "1/2")
        patch.setattr(variants, "fit", None)  # nothing is left to train
        train_missing(demo, decoders, files, "0/1")
    return directory


def test_every_part_trains_its_own_and_none_twice(runs: Path) -> None:
    found = [[run["variant"] for run in read_runs([runs / name])] for name in ("one.jsonl", "other.jsonl")]
    assert found == [["released", "lean, of the presets"], ["lean, first"]]


def test_a_run_has_every_pixel_of_the_unseen_blocks(runs: Path) -> None:
    demo = read_demo(runs, steps=2)
    labelled = int((demo.data.unseen.label != 255).sum())
    for run in read_runs([runs / "one.jsonl"]):
        counted = sum(sum(map(sum, block)) for block in run["counts"])
        assert labelled - 4 <= counted <= labelled  # no sensor sees the toy's first four pixels
        assert run["steps"] == 2
        assert run["seconds"] > 0


def test_another_number_of_steps_is_another_run(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    demo = read_demo(runs, steps=3)
    trained: list[Any] = []

    def fit(*arguments: Any, **_: Any) -> Outcome:
        trained.append(arguments)
        return Outcome(3, 0, 0.0, 1.0, 0.0)

    monkeypatch.setattr(variants, "SEEDS", (0,))
    monkeypatch.setattr(variants, "fit", fit)
    file = runs / "more.jsonl"
    file.write_text((runs / "one.jsonl").read_text())
    train_missing(demo, what_pays.trained(demo.network), [file], "0/3")
    recipes = [arguments[5] for arguments in trained]
    assert [recipe.steps for recipe in recipes] == [3, 12]
    assert [recipe.learning_rate for recipe in recipes] == pytest.approx([1e-4, 1e-4])
    with pytest.raises(SystemExit, match="different data"):
        by_variant(read_runs([file]), list(what_pays.DECODERS))


def run(variant: str, seed: int, hits: list[int]) -> dict[str, object]:
    """Blocks of ten pixels of each of two classes, so many of them right."""
    counts = [[[right, 10 - right], [10 - right, right]] for right in hits]
    return {"variant": variant, "seed": seed, "data": "", "scored": [True, True], "counts": counts} | {
        "seconds": 30.0,
        "steps": 10,
    }


def test_the_verdict_follows_the_rule() -> None:
    """Two alike classes: macro F1 is the share that is right, the same in every block, so intervals are points."""
    found = {
        name: [run(name, seed, [hits] * 6) for seed in range(3)]
        for name, hits in (("released", 8), ("lean, first", 8), ("lean, of the presets", 7))
    }
    assert difference(found["lean, of the presets"], found["released"]) == pytest.approx((-0.1, -0.1, -0.1))
    lines = list(what_pays.accuracy_lines(found))
    assert "0.700 (0.700-0.700)" in next(line for line in lines if line.startswith("lean, of the presets"))
    assert "3.000" in lines[1]
    assert "lean, first - released: +0.000 (+0.000 to +0.000), keeps up" in lines[-3]
    assert "does not keep up" in lines[-2]
    assert lines[-1] == "lean, of the presets - lean, first: -0.100 (-0.100 to -0.100)"
    longer = {what_pays.LONGER: [run(what_pays.LONGER, seed, [9] * 6) for seed in range(3)]}
    lines = list(what_pays.accuracy_lines(found | longer))
    assert "lean, first - released, four times as long: -0.100 (-0.100 to -0.100), does not" in lines[-4]


def test_a_variant_that_lacks_a_seed_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [run("released", seed, [8]) for seed in (2, 0, 1)] + [run("lean, first", 0, [8])]
    found = by_variant(runs, ["released", "lean, first"])
    assert [run["seed"] for run in found["released"]] == [0, 1, 2]
    assert list(found) == ["released"]
    assert "lean, first: 1 of 3 seeds" in capsys.readouterr().out


@pytest.mark.check
def test_what_pays_is_scored_under_every_condition(runs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A network of both sensors is scored without one of them too, a network of Sentinel-2 alone is not."""
    monkeypatch.setattr(variants, "SEEDS", (0,))
    monkeypatch.setattr(what_pays.patches, "MAX_KEPT_BYTES", 0)
    kept = {name: what_pays.DESIGNS[name] for name in (what_pays.KNOWING, "Sentinel-2 alone")}
    monkeypatch.setattr(what_pays, "DESIGNS", kept)
    monkeypatch.setattr(what_pays, "RULE", (("Landsat", *kept, what_pays.AS_IS),))
    files = tmp_path / "runs.jsonl"
    what_pays.main(runs, "--runs", files, "--steps", 2)
    both, alone = read_runs([files])
    assert both["counts"] != both[what_pays.CLOUDY] != both[what_pays.NO_LANDSAT]
    assert what_pays.NO_LANDSAT not in alone
    out = tmp_path / "result.txt"
    what_pays.main("--runs", files, "--out", out)
    rows = [line for line in out.read_text("utf-8").splitlines() if line.startswith(("Sentinel-2 alone", "Landsat"))]
    assert len(rows) == 2
