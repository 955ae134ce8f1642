"""What the models of a project answer on unseen labels from what was known on a day: of a cube or of a series table.

Networks, and means of networks of several seeds, answer as they are. Classic models are trained for the day, on the
same training labels and the season until then.

Shape letters: N labelled test pixels, row by row, or test places; K classes.
"""

from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from agrifm.calibration import Calibration
from agrifm.classic.classic_model import ClassicModel
from agrifm.classic.place_probabilities import place_probabilities
from agrifm.config import Project
from agrifm.cube.store import open_cube
from agrifm.cube.until import cube_until
from agrifm.errors import AssessmentError
from agrifm.inference.mean import mean_where_known, members_of
from agrifm.inference.predictor import TorchModel, TrainedModel, load_model, uncalibrated
from agrifm.legend import UNLABELLED
from agrifm.object_store import Place
from agrifm.record import is_classic, model_file
from agrifm.samples.patches import Tiles
from agrifm.samples.project_table import project_table
from agrifm.samples.split import HeldOutBlocks
from agrifm.samples.table import SeriesTable
from agrifm.samples.table_samples import TableSamples
from agrifm.samples.table_store import table_digest
from agrifm.season import Season
from agrifm.train.cube_classic import fit_cube_classic
from agrifm.train.data import Data, cube_record, prepare, project_labels
from agrifm.train.predictions import labelled_probabilities
from agrifm.train.table_classic import fit_table_classic, table_classic_record
from agrifm.train.table_folds import TableData, divide_table, labelled_places, observed_places


class DayAnswers(NamedTuple):
    """Of one model on one day."""

    probabilities: NDArray[np.float32]
    """(N, K), before calibration; NaN without an observation until the day."""
    calibration: Calibration | None


class LabelsByDate(Protocol):
    """Unseen labels with their series, and the models that are asked."""

    @property
    def season(self) -> Season:
        """Of the project."""

    @property
    def path(self) -> Place:
        """Cube or table."""

    @property
    def unseen(self) -> HeldOutBlocks:
        """The test."""

    @property
    def blocks(self) -> int:
        """How many the test has."""

    @property
    def classes(self) -> int:
        """How many the legend has."""

    @property
    def content(self) -> Any:
        """What decides the answers besides models and settings, for a fingerprint."""

    def answers(self, name: str, day: date, file: Path) -> DayAnswers:
        """Return what a model that is not a mean of different ones answers on a day; `file` may hold it meanwhile."""


def labels_by_date(project: Project) -> LabelsByDate:
    """Return the unseen labels of a project; raises as reading its cube, labels or table does."""
    if not project.labels.on_cube:
        return TableByDate(project, divide_table(project_table(project), project.model.seed))
    cube = open_cube(project.source)
    return CubeByDate(project, prepare(cube, project_labels(project, cube), project.labels.block, project.model))


@dataclass(frozen=True)
class CubeByDate:
    """Test pixels of a cube."""

    project: Project
    data: Data

    @property
    def season(self) -> Season:
        """Of the cube."""
        return self.data.cube.season

    @property
    def path(self) -> Place:
        """Of the cube."""
        return self.data.cube.path

    @property
    def unseen(self) -> HeldOutBlocks:
        """The test blocks."""
        return self.data.unseen

    @property
    def blocks(self) -> int:
        """Of the test."""
        return self.data.split.blocks["test"]

    @property
    def classes(self) -> int:
        """Of the legend."""
        return len(self.data.labels.legend)

    @property
    def content(self) -> Any:
        """Where the cube comes from."""
        return self.data.cube.provenance

    def answers(self, name: str, day: date, file: Path) -> DayAnswers:
        """Return the answers of a network as it is, or of a classic model that is trained for the day."""
        data, config = self.data, self.project.model
        cube = cube_until(data.cube, day)
        calibration: Calibration | None = None
        model: TrainedModel
        if is_classic(name):
            short = replace(cube, season=Season(cube.season.start, day))
            tiles = Tiles(short, data.sensors, short.season.steps(config.frames))
            until = replace(data, cube=short, tiles=tiles)
            training = data.training.label
            label: NDArray[np.uint8] = np.where(training == UNLABELLED, data.validation.label, training)
            model = fit_cube_classic(until, config, cube_record(until, config, name, {}), label)
        else:
            trained = load_model(model_file(self.project.models, name, config.seeds))
            calibration, model = trained.record.calibration, uncalibrated(trained)
            record = model.record
            tiles = Tiles(cube, data.sensors, cube.season.steps(record.frames), record.series)
        shown: Any = model
        shown = replace(shown, record=model.record.model_copy(update={"name": f"{name} {day}"}))  # for the progress bar
        return DayAnswers(labelled_probabilities(shown, tiles, data.unseen.label, file), calibration)


@dataclass(frozen=True)
class TableByDate:
    """Test places of a series table."""

    project: Project
    data: TableData
    _read: dict[date, SeriesTable] = field(default_factory=dict)
    """The table of the day that was asked for last."""

    @property
    def season(self) -> Season:
        """Of the project."""
        return self.project.season.season

    @property
    def path(self) -> Place:
        """Of the table."""
        assert self.project.labels.series is not None
        return self.project.path(self.project.labels.series)

    @property
    def unseen(self) -> HeldOutBlocks:
        """The test places."""
        return self.data.unseen

    @property
    def blocks(self) -> int:
        """Of the test."""
        return self.data.blocks["test"]

    @property
    def classes(self) -> int:
        """Of the legend."""
        return len(self.data.table.legend)

    @property
    def content(self) -> Any:
        """The table's digest."""
        return table_digest(self.data.table)

    def until(self, day: date) -> SeriesTable:
        """Return the table as it was known on a day; it is read anew, as bands are filled from dates around a gap."""
        if day not in self._read:
            self._read.clear()
            self._read[day] = project_table(self.project, until=day)
        return self._read[day]

    def answers(self, name: str, day: date, file: Path) -> DayAnswers:
        """Return the answers of a network as it is, or of a classic model that is trained for the day."""
        table = self.until(day)
        test = table.of(np.flatnonzero(self.data.unseen.label[:, 0] != UNLABELLED))
        observed = np.flatnonzero(observed_places(test))
        found = np.full((len(test), self.classes), np.nan, np.float32)
        calibration = None
        if is_classic(name):
            days = (day - self.season.start).days + 1
            model = self._classic(name, day, replace(table, season_days=days))
            if len(observed):
                found[observed] = place_probabilities(model, replace(test.of(observed), season_days=days))
        else:
            trained = load_model(model_file(self.project.models, name, self.project.model.seeds))
            calibration = trained.record.calibration
            members = members_of(uncalibrated(trained))
            if len(observed):
                each = [_of_network(member.model, test.of(observed)) for member in members]
                found[observed] = mean_where_known(each, [member.weight for member in members])
        return DayAnswers(found, calibration)

    def _classic(self, name: str, day: date, table: SeriesTable) -> ClassicModel:
        """A classic model trained on the season until a day, on the places of training and validation."""
        training = table.of(np.flatnonzero(np.isin(self.data.fold, (0, 1))))
        known = len(np.unique(labelled_places(training).label))
        if known < 2:
            raise AssessmentError(
                f"scoring by date: until {day} only {known} of the classes had been observed at the training places; "
                "choose a later date",
                day=day.isoformat(),
            )
        config, data = self.project.model, replace(self.data, table=table)
        record = table_classic_record(data, config, Season(self.season.start, day), name)
        return fit_table_classic(config, record, training)


def _of_network(model: Any, table: SeriesTable) -> NDArray[np.float32]:
    """Class probabilities (P, K) of the places of a table by a PyTorch network."""
    assert isinstance(model, TorchModel)
    samples = TableSamples(table, model.record.series, model.record.frames)
    return model.of_places([samples[index] for index in range(len(samples))])
