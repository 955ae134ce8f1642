"""The series table of a project."""

from dataclasses import replace
from datetime import date

from agrifm.config import Project
from agrifm.legend import Legend
from agrifm.samples.legends.levels import with_hierarchy
from agrifm.samples.series_files import read_series_table
from agrifm.samples.table import SeriesTable
from agrifm.samples.task_labels import in_task_classes
from agrifm.scene.described_products import described_products
from agrifm.scene.mask import MaskRule
from agrifm.scene.table_products import find_table_product


def project_table(project: Project, legend: Legend | None = None, until: date | None = None) -> SeriesTable:
    """Read the series table of a project, in the classes of its task.

    Args:
        legend: the classes; by default those of the task, made of the project's `legend`, or of the codes found.
        until: last day of the season that is known; None = its end. Later observations are not used.

    Raises:
        LabelError, ConfigError: see `read_series_table` and `find_table_product`.
    """
    labels = project.labels
    assert labels.series is not None
    described = described_products(project.imagery.product)
    products = [find_table_product(name, described) for name in labels.products]
    notes: list[str] = []
    is_given = legend is not None
    if legend is None and labels.legend is not None:
        legend = Legend.read(project.path(labels.legend), notes)
    columns = labels.columns
    if "column" in labels.model_fields_set and not (labels.mixed and columns.label):
        columns = columns.model_copy(update={"label": labels.column})
    if labels.fold_column is not None and not labels.mixed:
        columns = columns.model_copy(update={"fold": labels.fold_column})
    table = read_series_table(
        project.path(labels.series),
        products,
        project.season.season,
        columns,
        None if labels.file is None or labels.mixed else project.path(labels.file),
        legend,
        labels.block,
        labels.unlabelled,
        MaskRule(project.imagery.masked),
        until,
    )
    if is_given:
        return table
    about = f"reading the series table {labels.series}"
    levels = with_hierarchy(table.legend, labels.hierarchy, about)
    return in_task_classes(replace(table, legend=levels, notes=(*notes, *table.notes)), project.model, about)
