"""The file of a pretraining: shards, terms of the objective, and how the network is trained."""

import tomllib
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError, model_validator

from agrifm.errors import ConfigError, did_you_mean, doing
from agrifm.files import AnyPath, as_path
from agrifm.train.pretraining_terms import TERMS
from agrifm.train.random_radiometry import Radiometry
from agrifm.validation import Frozen, complaint

PRETRAIN_FILE = "pretrain.toml"
TERM_WEIGHTS = {"fractions": 0.3, "cover": 0.5, "places": 1.0, "days": 0.3, "reconstruction": 0.3}


class WorldConfig(Frozen):
    """The simulated places that shards are made of."""

    places: int = Field(2000, ge=2)
    """Number of places."""
    points: int = Field(48, ge=2)
    """Points of a place; another number gives other places."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Another seed gives other places."""
    places_per_shard: int = Field(80, ge=1)
    """Places of a shard."""


class PretrainConfig(Frozen):
    """A pretraining. Defaults of what AgriFM's paper leaves open are recorded in docs/pretrain.md."""

    out: Path = Path("pretrained.safetensors")
    """The weights; a relative path starts at the file's directory, like the next one."""
    shards: Path = Path("shards")
    """Directory of the shards."""
    world: WorldConfig | None = None
    """Simulated places, of which the shards are made if they are not there; without it they must be there."""
    terms: dict[str, float] = Field(default_factory=lambda: dict(TERM_WEIGHTS))
    """Weight of each term of the loss: fractions, cover, places, days, reconstruction."""
    teacher: float = Field(0.5, ge=0, le=1)
    """Share of the teacher's estimate in the target of land cover at the end; it grows from 0."""
    averaging: float = Field(0.99, ge=0, lt=1)
    """Share of the teacher's weights that remains after a step; the teacher is what is validated and written."""
    hidden: float = Field(0.5, ge=0, le=0.9)
    """Most of the observations of a sample that are hidden, as a share; half of it on average."""
    bands: float = Field(0.1, ge=0, lt=1)
    """Share of the bands that a sample lacks, so that the network reads tables with fewer."""
    radiometry: Radiometry = Radiometry()
    """Random factors on the values of a place."""
    frames: int = Field(16, ge=4, le=200)
    """Observations of a sample, at random from its season."""
    steps: int = Field(3000, ge=1)
    """Training steps."""
    batch: int = Field(192, ge=2)
    """Samples of a step, all of one source, place by place."""
    learning_rate: float = Field(2e-3, gt=0)
    """Highest learning rate, after warm-up."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Seed of weights, order and frames."""
    validation: float = Field(0.1, gt=0, lt=1)
    """Share of the shards, at least one, that are not trained on and decide which weights are kept."""

    @model_validator(mode="after")
    def _terms_are_known(self) -> Self:
        for name, weight in self.terms.items():
            if name not in TERMS:
                raise ValueError(
                    f"unknown term '{name}'{did_you_mean(name, TERMS)} (known: {', '.join(TERMS)}); change `terms`"
                )
            if weight < 0:
                raise ValueError(f"the weight of the term '{name}' is {weight:g}; give a number of at least 0")
        if not sum(self.terms.values()):
            raise ValueError("every term has the weight 0; give one of `terms` a weight above 0")
        if self.teacher and not self.averaging:
            raise ValueError("`teacher` needs averaged weights; set `averaging` to 0.99, or `teacher` to 0")
        return self


def read_pretraining(path: AnyPath) -> tuple[Path, PretrainConfig]:
    """Read the file of a pretraining, or `pretrain.toml` in a directory; returns its path too.

    Raises:
        ConfigError: the file does not exist, is not TOML, or has an unknown key or an invalid value.
    """
    path = as_path(path)
    file = path / PRETRAIN_FILE if path.is_dir() else path
    with doing(f"reading the pretraining {file}", ConfigError, "write it (docs/pretrain.md)", path=file):
        content = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    try:
        return file, PretrainConfig.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"reading the pretraining {file}: {complaint(error, PretrainConfig)}", path=file) from error
