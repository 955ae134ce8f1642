"""Labels of a task: the classes of the labels grouped into those that a model of `task` under [model] tells apart.

    crop-type    the classes as they are
    land-cover   the classes as they are, all of them scored
    cropland     cropland and other land
    one-crop     the crop of `crop` and other land, other crops included

A class of the task lists the codes of the labels that it stands for, so references with these codes can be read too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from agrifm.codes import listed
from agrifm.errors import LabelError, did_you_mean
from agrifm.legend import CROPLAND, OTHER, OTHER_COLOR, UNLABELLED, Legend, LegendClass, is_named_as_land
from agrifm.model_config import ModelConfig
from agrifm.samples.labels import Labels
from agrifm.samples.table import SeriesTable

CROPLAND_COLOR = "#ddaa33"

Labelled = TypeVar("Labelled", Labels, SeriesTable)


@dataclass(frozen=True)
class TaskClasses:
    """Classes of a task, and which of them each class of the labels belongs to."""

    legend: Legend
    number: NDArray[np.uint8]
    """(256,), class number of the task for each class number of the labels; 255 stays 255."""
    notes: tuple[str, ...] = ()


def task_classes(legend: Legend, label: NDArray[np.uint8], config: ModelConfig, about: str) -> TaskClasses:
    """Group the classes of labels into those of the task of [model].

    Args:
        legend: of the labels.
        label: class numbers of any shape, 255 = unlabelled.
        about: the start of an error's sentence, such as "reading labels fields.gpkg".

    Raises:
        LabelError: no label has the crop, or `crops` names a class that the legend lacks; all labels are of the class,
            or none of them.
    """
    if config.task in ("crop-type", "boundaries", "yield", "fractions"):
        return TaskClasses(legend, _as_they_are())
    if config.task == "land-cover":
        scored = tuple(entry.model_copy(update={"scored": True}) for entry in legend.classes)
        return TaskClasses(legend.model_copy(update={"classes": scored}), _as_they_are())
    present = set(np.unique(label[label != UNLABELLED]).tolist())
    if config.task == "one-crop":
        wanted = [_found(legend, crop, "crop", about, present) for crop in config.crop]
        crops = [legend.classes[number] for number in dict.fromkeys(wanted)]
        code, name = ("+".join(entry.code for entry in crops), " + ".join(entry.name for entry in crops))
        chosen, color = set(wanted), crops[0].color
    else:
        chosen = set(_crops(legend, config.crops, about))
        code, name, color = CROPLAND, CROPLAND, CROPLAND_COLOR
    if not present & chosen or not present - chosen:
        found = listed([legend.codes[number] for number in sorted(present)])
        every = "all of the labels" if present & chosen else "none of the labels"
        remedy = "label other land too, or give it as `other` under [labels]" if present & chosen else "label some"
        more = "; `crops` under [model] says which classes are crops" if config.task == CROPLAND else ""
        raise LabelError(f"{about}: {every} ({found}) are {name}; {remedy}{more}", labels=found, task=config.task)
    return _two(legend, chosen, LegendClass(code=code, name=name, color=color), about)


def in_task_classes(labels: Labelled, config: ModelConfig, about: str) -> Labelled:
    """Return labels on a cube, or a series table, with the classes of the task; arguments as of `task_classes`."""
    classes: TaskClasses = task_classes(labels.legend, labels.label, config, about)
    grouped = replace(
        labels, legend=classes.legend, label=classes.number[labels.label], notes=(*labels.notes, *classes.notes)
    )
    if isinstance(grouped, SeriesTable) or not classes.notes:
        return grouped
    number = classes.number[grouped.places["number"].to_numpy(np.uint8)]
    codes = np.array(classes.legend.codes)[number]
    return replace(grouped, places=grouped.places.assign(number=number, code=codes))


def _as_they_are() -> NDArray[np.uint8]:
    return np.arange(UNLABELLED + 1, dtype=np.uint8)


def _found(legend: Legend, crop: str, key: str, about: str, present: set[int] | None = None) -> int:
    """The class number of a code or name; with the numbers of classes that have labels, only of one of these."""
    names = {entry.name: number for number, entry in enumerate(legend.classes)}
    meant = legend.class_code(crop)
    number = legend.codes.index(meant) if meant in legend.codes else names.get(crop)
    if number is None or (present is not None and number not in present):
        known = [entry for at, entry in enumerate(legend.classes) if present is None or at in present]
        shown = [entry.code if entry.code == entry.name else f"{entry.code} = {entry.name}" for entry in known]
        either = [text for entry in known for text in (entry.code, entry.name)]
        raise LabelError(
            f"{about}: `{key}` under [model] is '{crop}', and no label has it{did_you_mean(crop, either)} (labels: "
            f"{listed(shown)}); name one of them",
            key=key,
            crop=crop,
            known=tuple(entry.code for entry in known),
        )
    return number


def _crops(legend: Legend, stated: Sequence[str], about: str) -> list[int]:
    """Numbers of the classes that are crops: the stated ones, else those that are scored and not named as land."""
    if stated:
        return [_found(legend, crop, "crops", about) for crop in stated]
    return [at for at, entry in enumerate(legend.classes) if entry.scored and not is_named_as_land(entry)]


def _two(legend: Legend, chosen: set[int], one: LegendClass, about: str) -> TaskClasses:
    """Two classes: one of the chosen classes of a legend, and other land."""
    rest = LegendClass(code=OTHER, name="other land", color=OTHER_COLOR, scored=False)
    classes, number, shown = [], np.full(UNLABELLED + 1, UNLABELLED, np.uint8), []
    for at, entry in enumerate((one, rest)):
        parts = [part for part in range(len(legend)) if (part in chosen) == (at == 0)]
        number[parts] = at
        codes = [code for part in parts for code in (legend.codes[part], *(legend.classes[part].members or ()))]
        shown.append(f"{entry.name} is {listed(codes)}")
        classes.append(entry.model_copy(update={"members": tuple(code for code in codes if code != entry.code)}))
    first, second = classes
    if second.code in (first.members or ()) or first.code in (second.members or ()):
        raise LabelError(
            f"{about}: the task's classes are {first.code} and {second.code}, and the labels have one of these codes "
            "for the opposite; change `crops` under [model], or the code",
            codes=(first.code, second.code),
        )
    return TaskClasses(Legend(classes=(first, second)), number, ("; ".join(shown),))
