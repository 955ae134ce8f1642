"""`[model]` of the project file: which models are trained, and how."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from agrifm.codes import code_of, listed
from agrifm.errors import did_you_mean
from agrifm.legend import Legend
from agrifm.recipe import Recipe
from agrifm.record import TRAINABLE, SeriesKind, Task, is_classic, is_network, with_parts
from agrifm.validation import Frozen

TWO_CLASSES: tuple[Task, ...] = ("cropland", "one-crop")
"""Tasks that tell one class from other land."""
WITHOUT_CLASSES: dict[Task, str] = {
    "boundaries": "edges without learning",
    "yield": "ridge regression or LightGBM, chosen on inner blocks",
    "fractions": "ridge regression, logistic regression or trees on shares, chosen on inner blocks",
}
"""Tasks whose models do not predict probabilities of classes, and what `classic` is in them."""
RULE = "threshold"
"""The naive rule that is trained and scored next to the models of such a task."""


def _codes(value: Any) -> Any:
    """One code or several, as codes."""
    return [code_of(one) for one in (value if isinstance(value, list | tuple) else [value])]


Codes = Annotated[tuple[str, ...], BeforeValidator(_codes)]


class ModelConfig(Frozen):
    """The models to train."""

    task: Task = "crop-type"
    """What models tell apart: the classes of the labels ("crop-type"); cropland and other land ("cropland"); one crop
    and all else ("one-crop", with `crop`); kinds of land, all of which are scored ("land-cover"); or fields
    ("boundaries"), with polygons as labels. Or what they estimate: the yield of a crop ("yield"), with `value` and
    `unit` under [labels]; or the shares of classes in pixels larger than fields ("fractions")."""
    crop: Codes = ()
    """Code or name of the crop of the tasks "one-crop" and "yield", or several, such as winter and spring wheat."""
    crops: Codes = ()
    """Codes or names of the labels that are cropland in the task "cropland"; by default those that the legend scores
    and that are not called like other land, such as forest or water."""
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
        self._require_keys_of_the_task()
        return self

    @property
    def every_name(self) -> tuple[str, ...]:
        """`names`, and after them the naive rule of a task of two classes."""
        return tuple(dict.fromkeys((*self.names, *([RULE] if self.task in TWO_CLASSES else []))))

    def why_other_task(self, task: Task, legend: Legend) -> str:
        """Say why a model of this task and legend is not one of the project's task; "" if it is one."""
        if task != self.task:
            return f"it is of the task '{task}', and `task` under [model] is '{self.task}'"
        stated = f"`crop` under [model] is {', '.join(self.crop)}"
        if task == "yield" and self.crop and set(self.crop) != set(legend.codes):
            return f"it is of the crop {listed(legend.codes)}, and {stated}"
        known = {*legend.every_code, *legend.classes[0].name.split(" + ")}
        if task == "one-crop" and not (set(self.crop) <= known - {legend.codes[1], *(legend.classes[1].members or ())}):
            return f"it is of the crop {legend.classes[0].name}, and {stated}"
        return ""

    def _require_networks(self) -> None:
        """Refuse models that a task without classes does not have."""
        strangers = [name for name in self.names if not is_network(name) and name != "classic"]
        if strangers:
            raise ValueError(
                f'`task` "{self.task}" is for networks, and "classic" ({WITHOUT_CLASSES[self.task]}) to compare them '
                f"with; take {strangers[0]!r} out of `names`"
            )
        if self.seeds > 1:
            raise ValueError(
                f'`seeds` above 1 averages probabilities, which `task` "{self.task}" lacks; remove `seeds`'
            )

    def _require_no_adjustment(self) -> None:
        if self.recipe is not None and self.recipe.logit_adjustment:
            raise ValueError(
                f'`logit_adjustment` of [model.recipe] is for classes, and `task` is "{self.task}"; remove it'
            )

    def _require_keys_of_the_task(self) -> None:
        """Refuse a task without its keys, keys of another task, and the naive rule where there are several classes."""
        if self.task in WITHOUT_CLASSES:
            self._require_networks()
            self._require_no_adjustment()
        if self.task == "one-crop" and not self.crop:
            raise ValueError('`task` "one-crop" needs `crop`, the code or name of the crop, such as "winter wheat"')
        for key, tasks in (("crop", ("one-crop", "yield")), ("crops", ("cropland",))):
            if getattr(self, key) and self.task not in tasks:
                stated = " or ".join(f'"{task}"' for task in tasks)
                raise ValueError(
                    f'`{key}` is for `task` {stated}, and `task` is "{self.task}"; remove `{key}`, or change `task`'
                )
        if RULE in self.names and self.task not in TWO_CLASSES:
            raise ValueError(
                f'"{RULE}" of `names` tells two classes apart, and `task` is "{self.task}"; take it out, or set `task` '
                f"to {' or '.join(repr(task) for task in TWO_CLASSES)}"
            )

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


def leaf_json(config: ModelConfig, *left_out: str) -> str:
    """Return what of the configuration of one network decides it, as JSON.

    Args:
        left_out: further keys that are known in another way.
    """
    return config.model_dump_json(exclude={"seeds", *left_out})
