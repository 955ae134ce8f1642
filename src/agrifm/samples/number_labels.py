"""Labels of a project whose task is of numbers, on a grid: yields of fields, or shares of classes in large pixels."""

from dataclasses import replace

from shapely.geometry.base import BaseGeometry

from agrifm.config import Project
from agrifm.grid import Grid
from agrifm.legend import Legend
from agrifm.samples.labels import Labels
from agrifm.samples.share_labels import ShareLabels, read_share_labels
from agrifm.samples.yield_labels import read_yield_labels
from agrifm.shares import COVERED


def project_yields(project: Project, grid: Grid, area: BaseGeometry) -> Labels:
    """Read the yields of a project on the target grid of its cube; raises as `read_yield_labels` does.

    Args:
        area: in longitude and latitude.
    """
    config = project.labels
    assert config.file, "the project is checked"
    assert config.value, "likewise"
    assert config.unit, "likewise"
    return read_yield_labels(
        project.path(config.file),
        config.value,
        config.unit,
        config.column,
        project.model.crop,
        grid,
        area,
        config.fold_column,
        config,
    )


def project_shares(project: Project, grid: Grid, area: BaseGeometry) -> ShareLabels:
    """Read the shares of a project on the target grid of its cube; raises as `read_share_labels` does.

    Args:
        area: in longitude and latitude.
    """
    config = project.labels
    assert config.file, "the project is checked"
    notes: list[str] = []
    legend = None if config.legend is None else Legend.read(project.path(config.legend), notes)
    known = read_share_labels(
        project.path(config.file),
        config.column,
        grid,
        area,
        legend,
        None if config.other is None else project.path(config.other),
        config.other_values,
        config,
        config.unlabelled,
        config.other_file,
        COVERED if config.covered is None else config.covered,
    )
    return replace(known, labels=replace(known.labels, notes=(*notes, *known.labels.notes)))
