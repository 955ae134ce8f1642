"""The file of a comparison: models, budgets, and sets, each a project, a public set, or places with vectors.

A project has labelled series, or labels on a cube; a public set has series or windows. Of cubes and windows a bounded
number of pixels becomes the series.
"""

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import Field, ValidationError, model_validator

from agrifm.config import read_project
from agrifm.cube.store import open_cube
from agrifm.errors import ConfigError, doing
from agrifm.files import AnyPath, as_path
from agrifm.samples.pixel_table import table_of_cube, table_of_windows
from agrifm.samples.project_table import project_table
from agrifm.samples.public.registry import read_public_set
from agrifm.samples.vector_table import read_vector_table
from agrifm.train.data import project_labels
from agrifm.train.protocol import LabelledSet, ProtocolConfig
from agrifm.validation import Frozen, complaint

OFFICIAL = ("train", "validation")
"""Parts of an official division that are trained on; choices are made inside of them."""


class SetConfig(Frozen):
    """A labelled set, from one of three sources."""

    name: str = Field(min_length=1)
    """How it is called in the report."""
    project: Path | None = None
    """A project file, or its directory: with a table of series, or with labels and a cube that `agrifm fetch` built."""
    public: Path | None = None
    """Folder of a public set, as it is distributed."""
    vectors: Path | None = None
    """GeoParquet of places with vectors, as `agrifm embed places` writes it; only classic models read them."""
    label: str | None = None
    """Of `vectors`, the column of the classes."""
    block: str | None = None
    """Of `vectors`, the column of blocks that stay together; by default squares."""
    fold: str | None = None
    """Of `vectors`, the column of official folds; by default there are none."""
    division: str | None = None
    """Name of one of the official divisions of a public set; by default the first, or blocks if there are none."""
    choices: dict[str, str | int | float | tuple[str, ...]] = Field(default_factory=dict)
    """Further arguments of the reader of a public set."""
    folds: bool = True
    """Whether official folds are used; if not, blocks are divided."""
    pixels: int = Field(4, ge=1, le=10_000)
    """Of labels on a cube, pixels of each parcel or point at most; of windows, pixels of each class in a window."""
    windows: int | None = Field(None, ge=2)
    """Of a public set of windows, how many are read at most, drawn from all of them; by default all."""

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        sources = [self.project, self.public, self.vectors]
        if sum(source is not None for source in sources) != 1:
            raise ValueError(f"the set '{self.name}' needs one of `project`, `public` and `vectors`")
        if self.vectors is not None and self.label is None:
            raise ValueError(f"the set '{self.name}' has `vectors`; name the column of their classes with `label`")
        if self.vectors is None and (self.label or self.block or self.fold):
            raise ValueError(f"the set '{self.name}': `label`, `block` and `fold` are for `vectors`; remove them")
        if self.public is None and (self.division or self.choices or self.windows):
            raise ValueError(
                f"the set '{self.name}': `division`, `choices` and `windows` are for public sets; remove them"
            )
        return self

    def read(self, directory: Path) -> LabelledSet:
        """Read the set; relative paths start at `directory`.

        Raises:
            LabelError: it cannot be read.
            CubeError: the project has no finished cube.
        """
        found = self._read(directory)
        if self.folds:
            return found
        return LabelledSet(self.name, replace(found.table, fold=None))

    def _read(self, directory: Path) -> LabelledSet:
        if self.public is not None:
            return self._read_public(directory / self.public)
        if self.vectors is not None:
            assert self.label is not None
            table = read_vector_table(directory / self.vectors, self.label, self.block, self.fold)
            return LabelledSet(self.name, table)
        return self._read_project(directory)

    def _read_project(self, directory: Path) -> LabelledSet:
        project = read_project(directory / (self.project or ""))
        if project.labels.series is not None:
            return LabelledSet(self.name, project_table(project))
        cube = open_cube(project.source)
        labels = project_labels(project, cube)
        return LabelledSet(self.name, table_of_cube(cube, labels, project.labels.block, self.pixels))

    def _read_public(self, folder: Path) -> LabelledSet:
        public = read_public_set(folder, **self.choices)
        table, member = public.table, None
        if table is None:
            table, member = table_of_windows(public, self.pixels, self.windows)
        if not public.folds or not self.folds:
            return LabelledSet(self.name, table)
        name = self.division or next(iter(public.folds))
        if name not in public.folds:
            raise ConfigError(
                f"comparing models on {self.name}: it has no official division {name!r} (it has "
                f"{', '.join(public.folds)}); change `division`",
                division=name,
                known=tuple(public.folds),
            )
        parts = public.folds[name]
        if "test" not in parts or not set(parts) & set(OFFICIAL):
            raise ConfigError(
                f"comparing models on {self.name}: its division {name!r} has {', '.join(parts)}, but no "
                "training and test, which a comparison needs; choose another `division`, or set `folds` to false",
                division=name,
                parts=tuple(parts),
            )
        training = np.sort(np.concatenate([parts[part] for part in OFFICIAL if part in parts]))
        divided = training, np.sort(parts["test"])
        if member is None:
            return LabelledSet(self.name, table, divided)
        first, second = (np.flatnonzero(np.isin(member, part)) for part in divided)
        return LabelledSet(self.name, table, (first, second))


class CompareConfig(ProtocolConfig):
    """The file of a comparison."""

    models: tuple[str, ...] = Field(min_length=1)
    """Models, by name; "classic" is the best classic, chosen inside, with which all others are compared."""
    sets: tuple[SetConfig, ...] = Field(min_length=1)
    """Labelled sets, as [[sets]] tables."""
    out: Path = Path("comparison")
    """Directory of the report and of the trained cells; a relative path starts at the file's directory."""

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        for key, names in (("sets", [one.name for one in self.sets]), ("models", list(self.models))):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"`{key}` has '{twice[0]}' twice; remove one, or change its name")
        return self


def read_comparison(path: AnyPath) -> tuple[Path, CompareConfig]:
    """Read the file of a comparison, or `compare.toml` in a directory; returns its path too.

    Raises:
        ConfigError: the file does not exist, is not TOML, or has an unknown key or an invalid value.
    """
    path = as_path(path)
    file = path / "compare.toml" if path.is_dir() else path
    with doing(f"reading the comparison {file}", ConfigError, path=file):
        content = tomllib.loads(file.read_text(encoding="utf-8-sig"))
        try:
            return file, CompareConfig.model_validate(content)
        except ValidationError as error:
            raise ConfigError(f"reading the comparison {file}: {complaint(error, CompareConfig)}", path=file) from error
