"""Keys of the project file that a task does not use: they are refused, so that none is ignored in silence."""

from collections.abc import Collection

from agrifm.record import Task

CLASS_LABELS = ("legend", "hierarchy", "unlabelled")
"""Keys of [labels] about the classes of the labels."""
OTHER_LAND = ("other", "other_values", "other_file")
CLASS_MAPS = ("smoothing", "minimum_mapping_unit", "probabilities")
"""Keys of [map] about the probabilities of classes."""
FIELD_KEYS = ("minimum_area", "largest_hole")
"""Keys of [map] of the task "boundaries"."""
UNUSED_LABELS: dict[Task, tuple[str, ...]] = {
    "boundaries": CLASS_LABELS,
    "yield": (*CLASS_LABELS, *OTHER_LAND),
    "fractions": ("hierarchy", "fold_column", "series"),
}
"""By task the keys of [labels] that it does not use; the others use all but those of `ONLY`."""
UNUSED_MAP: dict[Task, tuple[str, ...]] = {
    "yield": CLASS_MAPS,
    "fractions": (*CLASS_MAPS, "cropland", "cropland_values"),
}
ONLY: dict[str, Task] = {"covered": "fractions", **dict.fromkeys(FIELD_KEYS, "boundaries")}
"""Keys of one task."""


def unused_key(task: Task, labels: Collection[str], map_keys: Collection[str], parcels: bool) -> str:
    """Say which key of a project file its task does not use; "" if there is none.

    Args:
        labels: keys that [labels] states.
        map_keys: likewise of [map].
        parcels: whether there is a section [parcels].
    """
    for section, stated, unused in (("labels", labels, UNUSED_LABELS), ("map", map_keys, UNUSED_MAP)):
        for key in sorted(stated):
            if ONLY.get(key, task) != task:
                return f'{section}.{key} is for `task` "{ONLY[key]}", and `task` is "{task}"; remove it'
            if key in unused.get(task, ()):
                return f'{section}.{key} is not used by `task` "{task}"; remove it'
    if parcels and task == "fractions":
        return '[parcels] is for maps of classes or yields, and `task` is "fractions"; remove the section'
    return ""
