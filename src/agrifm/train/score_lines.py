"""The scores of `agrifm train` in sentences."""

from collections.abc import Sequence
from typing import Any

from agrifm.scores import MIN_PLACES, interval_words
from agrifm.train.reliability import describe_calibrations

ONE_CLASS = {"f1": "F1", "iou": "IoU", "precision": "precision", "recall": "recall"}
"""Scores of the class of a task of two classes, with what people call them."""


def describe_scores(scores: dict[str, Any]) -> list[str]:
    """Return the scores in sentences: notes on the labels, then a line for each model."""
    if scores.get("task") == "boundaries":
        return _describe_fields(scores)
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
