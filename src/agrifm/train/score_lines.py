"""The scores of `agrifm train` in sentences."""

from collections.abc import Sequence
from typing import Any

from agrifm.scores import MIN_PLACES, interval_words
from agrifm.train.reliability import describe_calibrations

ONE_CLASS = {"f1": "F1", "iou": "IoU", "precision": "precision", "recall": "recall"}
"""Scores of the class of a task of two classes, with what people call them."""

YIELD_TITLES = {"r2": "R²", "rmse": "RMSE", "mae": "MAE", "bias": "bias"}
"""Scores of yields, with what people call them."""


def describe_scores(scores: dict[str, Any]) -> list[str]:
    """Return the scores in sentences: notes on the labels, then a line for each model."""
    if scores.get("task") == "boundaries":
        return _describe_fields(scores)
    if scores.get("task") == "yield":
        return _describe_yields(scores)
    if scores.get("task") == "fractions":
        return _describe_shares(scores)
    lines = list(scores["notes"])
    for name, entry in scores["models"].items():
        macro = "undefined (no labelled pixel was predicted)"
        if entry["macro_f1"] is not None:
            within = interval_words(entry["macro_f1_interval"])
            macro = f"{entry['macro_f1']:.3f} ({within}) over all {len(scores['tested'])} classes"
        lines.append(
            f"{name}: on {scores['blocks']['test']} unseen blocks overall accuracy {entry['overall_accuracy']:.3f} "
            f"(majority class {scores['majority_class']['overall_accuracy']:.3f}), macro F1 {macro}"
        )
        if one := entry.get("one_class"):
            found = (_with_interval(one, key, title) for key, title in ONE_CLASS.items())
            lines.append(f"{name}: {one['name']}: {', '.join(found)}")
        if (of_table := entry.get("series")) and of_table["macro_f1"] is not None:
            lines.append(
                f"{name}: on {of_table['blocks']} unseen blocks of the series table overall accuracy "
                f"{of_table['overall_accuracy']:.3f}, macro F1 {of_table['macro_f1']:.3f}"
            )
    lines += [*describe_calibrations(scores["models"]), *_describe_scored(scores), *_describe_levels(scores)]
    return [*lines, *(f"macro F1, {sentence}" for sentence in describe_differences(scores.get("differences", [])))]


def _with_interval(scores: dict[str, Any], key: str, title: str) -> str:
    if scores[key] is None:
        return f"{title} undefined"
    return f"{title} {scores[key]:.3f} ({interval_words(scores[f'{key}_interval'])})"


def _describe_fields(scores: dict[str, Any]) -> list[str]:
    """Lines on models of field boundaries."""
    lines = list(scores["notes"])
    for name, entry in scores["models"].items():
        lines.append(
            f"{name}: on {scores['blocks']['test']} unseen blocks with {entry['reference']} fields object F1 "
            f"{entry['f1']:.3f} ({entry['predicted']} predicted), panoptic quality {entry['panoptic']:.3f}, IoU "
            f"{entry['iou']:.3f}, boundary F1 within {scores['tolerance']:g} m {entry['edges']:.3f}, area "
            f"{100 * entry['bias']:+.1f} %"
        )
    return lines


def _rounded(share: float | None) -> str:
    return "undefined" if share is None else f"{share:.3f}"


def _describe_yields(scores: dict[str, Any]) -> list[str]:
    """Lines on models of yields."""
    lines, unit, level = list(scores["notes"]), scores["unit"], f"{100 * scores['level']:.0f} %"
    for name, entry in scores["models"].items():
        r2, rmse, mae, bias = (_with_interval(entry, key, title) for key, title in YIELD_TITLES.items())
        held, width = _with_interval(entry, "coverage", "share in it"), f"± {entry['half_width']:.2f} {unit}"
        lines.append(
            f"{name}: on {scores['blocks']['test']} unseen blocks with {entry['fields']} fields {rmse}, {mae}, {bias} "
            f"{unit}, {r2}; interval of {level} {width}, {held}"
        )
        thirds = [_rounded(share) for share in entry["coverage_of_thirds"]["true"]]
        lines.append(f"{name}: share in the interval of the third with the lowest true yields {thirds[0]}, of the "
                     f"middle one {thirds[1]}, of the highest one {thirds[2]}")  # fmt: skip
        lines += _chosen(name, entry)
    return [*lines, *_rmse_differences(scores, 3, f" {unit}")]


def _describe_shares(scores: dict[str, Any]) -> list[str]:
    """Lines on models of shares."""
    lines = list(scores["notes"])
    for name, entry in scores["models"].items():
        r2, rmse, mae = (_with_interval(entry, key, YIELD_TITLES[key]) for key in ("r2", "rmse", "mae"))
        lines.append(
            f"{name}: on {scores['blocks']['test']} unseen blocks with {entry['pixels']} pixels {rmse} and {mae} of "
            f"shares from 0 to 1, {r2}; of {entry['hectares']:.0f} ha {entry['displaced_hectares']:.0f} have the wrong "
            f"class in sums of shares, {entry['whole_displaced_hectares']:.0f} if each pixel is wholly of its largest"
        )
        lines += _chosen(name, entry)
    return [*lines, *_rmse_differences(scores, 4)]


def _chosen(name: str, entry: dict[str, Any]) -> list[str]:
    """Which candidates a classic model of numbers is."""
    return [
        f"{name} is {' and '.join(tried['models'])}, chosen by its error on inner blocks"
        for tried in entry.get("training", {}).get("tried", ())
        if tried["chosen"]
    ]


def _rmse_differences(scores: dict[str, Any], digits: int, unit: str = "") -> list[str]:
    lines = []
    for entry in scores["differences"]:
        if None not in entry["rmse_interval"]:
            low, high = entry["rmse_interval"]
            pair, form = f"{entry['model']} - {entry['against']}", f".{digits}f"
            lines.append(f"RMSE, {pair}: {entry['rmse']:+{form}} ({low:{form}} to {high:{form}}){unit}")
    return lines


def _describe_scored(scores: dict[str, Any]) -> list[str]:
    """A line on the macro F1 of the scored classes, if it leaves out a class of the test, with the names left out."""
    names = {entry["code"]: entry["name"] for entry in scores["legend"]["classes"]}
    left_out = [names[code] for code in scores["tested"] if code not in scores["scored"]]
    if not left_out:
        return []
    models = [
        f"{name} {'undefined' if entry['macro_f1_scored'] is None else format(entry['macro_f1_scored'], '.3f')}"
        for name, entry in scores["models"].items()
    ]
    rule = f"classes that the legend scores and that have at least {MIN_PLACES} test places"
    return [f"macro F1, {rule}: {', '.join(models)} (left out: {', '.join(left_out)})"]


def _describe_levels(scores: dict[str, Any]) -> list[str]:
    """A line for each level of the legend's hierarchy."""
    lines = []
    for level in scores.get("levels", []):
        found = {name: entry["levels"][level["level"]]["macro_f1"] for name, entry in scores["models"].items()}
        models = [f"{name} {'undefined' if value is None else f'{value:.3f}'}" for name, value in found.items()]
        lines.append(f"macro F1, {level['level']} ({len(level['groups'])} groups): {', '.join(models)}")
    return lines


def describe_differences(differences: Sequence[dict[str, Any]]) -> list[str]:
    """Return a line for each pair of models with scores: "agrifm - classic: +0.01 (-0.01 to 0.03)"."""
    lines = []
    for entry in differences:
        low, high = entry["macro_f1_interval"]
        if None not in (entry["macro_f1"], low, high):
            pair = f"{entry['model']} - {entry['against']}"
            lines.append(f"{pair}: {entry['macro_f1']:+.3f} ({low:.3f} to {high:.3f})")
    return lines
