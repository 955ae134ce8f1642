"""`agrifm train` for a project of either kind: labels on a cube, or a table of labelled series."""

from typing import Any

from agrifm.config import Project
from agrifm.models.precision import DEFAULT_COMPUTE, Compute
from agrifm.samples.project_table import project_table
from agrifm.train.field_training import train_boundaries
from agrifm.train.publish import require_inputs_apart
from agrifm.train.run import train
from agrifm.train.share_training import train_fractions
from agrifm.train.table_run import train_on_table
from agrifm.train.tile_training import parcels_of_tiles
from agrifm.train.yield_training import train_yields


def train_project(project: Project, compute: Compute = DEFAULT_COMPUTE) -> dict[str, Any]:
    """Train the project's models and score them on unseen blocks; arguments, result and errors are those of `train`."""
    if project.season.tiles is not None:
        return _train_on_tiles(project, compute)
    if project.model.task == "boundaries":
        return train_boundaries(project, compute)
    if project.model.task == "yield":
        return train_yields(project, compute)
    if project.model.task == "fractions":
        return train_fractions(project, compute)
    if project.labels.on_cube:
        return train(project, compute)
    require_inputs_apart(project)
    return train_on_table(project_table(project), project.training, project.season.season, project.models, compute)


def _train_on_tiles(project: Project, compute: Compute) -> dict[str, Any]:
    """Train on the labelled parcels of all tiles of a divided area."""
    require_inputs_apart(project)
    of_table, note = parcels_of_tiles(project)
    result = train_on_table(
        project_table(of_table), of_table.training, of_table.season.season, of_table.models, compute
    )
    return {**result, "notes": [note, *result["notes"]]}
