"""`[model]` of the project file: which models are trained, and how."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from agrifm.errors import did_you_mean
from agrifm.recipe import Recipe
from agrifm.record import TRAINABLE, SeriesKind, is_classic, with_parts
from agrifm.validation import Frozen


class ModelConfig(Frozen):
    """The models to train."""

    names: tuple[str, ...] = Field(("agrifm", "classic"), min_length=1)
    """Models to train and score side by side, such as "agrifm", "tempcnn" and "classic" (docs/models.md)."""
    preset: Literal["base", "small", "tiny"] = "tiny"
    """Size of the networks."""
    weights: Path | None = None
    """Initial weights of the one model of `names` that starts from any: of AgriFM (safetensors with a record), or
    released ones of Presto, Galileo or Prithvi (.pt); they set the encoder's shape, and the rest is new."""
    encoder: Literal["tuned", "frozen"] = "tuned"
    """Whether Presto's, Galileo's or Prithvi's encoder is trained with the rest, or stays as `weights` have it."""
    frames: int = Field(24, ge=1, le=200)
    """Equal periods into which the season is divided; the base preset needs 29 to 32."""
    series: SeriesKind = "interpolated"
    """The series that networks receive: "interpolated" to equal periods; "composites", in each period the observation
    nearest its middle; or "observed", every observation. The last two keep dates and gaps; TempCNN cannot read them."""
    side: int = Field(96, ge=48, multiple_of=48)
    """Side of training windows, target pixels."""
    steps: int = Field(1500, ge=1)
    """Most training steps; early stopping may end before."""
    batch: int = Field(8, ge=1)
    """Windows per step."""
    learning_rate: float = Field(1e-3, gt=0)
    """Highest learning rate, after warm-up."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Seed of blocks, weights and order."""
    seeds: int = Field(1, ge=1, le=20)
    """Networks of each name, trained with `seed`, `seed` + 1 …; of several the mean of their probabilities counts."""
    calibration: bool = True
    """Whether probabilities are calibrated on validation blocks; classic models are fitted once more for it."""
    sensor_dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the training steps that drop one sensor, never the finest; above 0, the model can map cubes that lack
    one of them."""
    recipe: Recipe | None = None
    """How networks are trained; by default half of the frames of AgriFM's places are hidden, and nothing else."""

    @model_validator(mode="after")
    def _names_fit_the_other_keys(self) -> Self:
        for name in self.names:
            if name not in TRAINABLE:
                raise ValueError(
                    f"unknown model '{name}'{did_you_mean(name, TRAINABLE)} (known: {', '.join(TRAINABLE)}); "
                    "change `names`"
                )
            readable = TRAINABLE[name].series
            if self.series not in readable:
                raise ValueError(
                    f'"{name}" reads {" and ".join(readable)} series only (found `series` "{self.series}"); set '
                    f'`series` to "{readable[0]}", or take "{name}" out of `names`'
                )
        if self.series == "observed" and self.preset == "base" and "agrifm" in with_parts(self.names):
            raise ValueError(
                'preset "base" of AgriFM needs 29 to 32 frames, but `series` "observed" has as many as there are '
                'observations; set `series` to "composites", or `preset` to "small"'
            )
        self._require_weights()
        return self

    def _require_weights(self) -> None:
        """Refuse weights that belong to no model of `names`, or to several; and a frozen encoder without weights."""
        known = [name for name, family in TRAINABLE.items() if family.weights]
        starting = [name for name in with_parts(self.names) if name in known]
        if self.encoder == "frozen" and (self.weights is None or "agrifm" in starting):
            raise ValueError(
                '`encoder` "frozen" is for released weights of Presto, Galileo or Prithvi '
                f"(found `names` {', '.join(self.names)}, `weights` {self.weights}); give their file as `weights`, or "
                "remove `encoder`"
            )
        if self.weights is not None and not all(is_classic(name) for name in self.names) and len(starting) != 1:
            raise ValueError(
                f"`weights` are initial weights of one of {', '.join(known)}, but `names` has "
                f"{', '.join(self.names)}; remove `weights`, or keep one of these in `names`"
            )
