"""The model's record: what a model expects and what it was trained on; it is saved with the weights.

Bands are selected by name into the order of the record. A cube with a missing band, or with a band of another scale or
quantity, is refused unless the record declares that the band may be absent. A whole sensor may be absent too.
"""

import math
import platform
from collections.abc import Mapping, Sequence
from datetime import date
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, Self

from pydantic import Field, ValidationError, model_validator

from agrifm.calibration import Calibration
from agrifm.certainty import CandidateSets
from agrifm.codes import listed
from agrifm.errors import ModelError
from agrifm.files import AnyPath, as_path
from agrifm.legend import Legend
from agrifm.sensors import Quantity
from agrifm.validation import Frozen
from agrifm.yields import YIELD_LAYERS, YieldScale

SeriesKind = Literal["interpolated", "composites", "observed"]
"""The series of a season that a model reads: interpolated to equal steps; the observation nearest the middle of each
equal period; or every observation. The last two keep their days and gaps."""

Task = Literal["crop-type", "cropland", "one-crop", "land-cover", "boundaries", "yield", "fractions"]
"""What a model tells apart: crops and other land, cropland and other land, one crop and all else, kinds of land, or
one field and the next; or what it estimates, the yield of a crop, or the shares of classes in large pixels."""
FIELD_MAPS = ("boundary", "distance", "extent")
"""What a model of boundaries predicts, each 0..1, in place of the probabilities of classes."""
LAYERS: dict[Task, tuple[str, ...]] = {"boundaries": FIELD_MAPS, "yield": YIELD_LAYERS}
"""What models predict in tasks that are not of classes."""
WITHOUT_PROBABILITIES: tuple[Task, ...] = (*LAYERS, "fractions")
"""Tasks whose models do not predict probabilities; those of fractions predict shares of classes, one per class."""
NUMBERS: dict[Task, str] = {"yield": "yield.tif", "fractions": "fractions.tif"}
"""Tasks whose maps are numbers and have no raster of classes, and the raster that they have instead."""


class TrainableFamily(NamedTuple):
    """A family of models as the rest of the package names it."""

    title: str
    """Name as people write it."""
    series: tuple[SeriesKind, ...] = ("interpolated", "composites", "observed")
    """Values of `series` in the project file with which it can be trained."""
    weights: bool = False
    """Whether it can start from the file of weights that the project file names."""
    classic: bool = False
    """Whether it is a classic model (`agrifm.classic`), whose features are of interpolated series."""
    parts: tuple[str, ...] = ()
    """Families whose probabilities it averages; none for a model that is trained by itself."""
    naive: bool = False
    """Whether it is a rule with which models are compared; its probabilities are not calibrated."""


TRAINABLE = {
    "agrifm": TrainableFamily("AgriFM", weights=True),
    "tempcnn": TrainableFamily("TempCNN", ("interpolated",)),
    "ltae": TrainableFamily("L-TAE"),
    "utae": TrainableFamily("U-TAE"),
    "unet3d": TrainableFamily("3D U-Net"),
    "convlstm": TrainableFamily("ConvLSTM"),
    "tsvit": TrainableFamily("TSViT"),
    "cropnet": TrainableFamily("CropNet", ("interpolated",)),
    "transformer": TrainableFamily("transformer"),
    "presto": TrainableFamily("Presto", ("composites", "observed"), weights=True),
    "galileo": TrainableFamily("Galileo", ("composites", "observed"), weights=True),
    "prithvi": TrainableFamily("Prithvi-EO", ("interpolated", "composites"), weights=True),
    "classic": TrainableFamily("best classic model", classic=True),
    "lightgbm": TrainableFamily("LightGBM", classic=True),
    "extra-trees": TrainableFamily("extra trees", classic=True),
    "support-vectors": TrainableFamily("support vectors", classic=True),
    "logistic": TrainableFamily("logistic regression", classic=True),
    "minirocket": TrainableFamily("MiniRocket", classic=True),
    "random-forest": TrainableFamily("random forest", classic=True),
    "threshold": TrainableFamily("threshold on the greenness of the season", classic=True, naive=True),
    "agrifm+classic": TrainableFamily("mean of AgriFM and the best classic model", parts=("agrifm", "classic")),
    "best": TrainableFamily("AgriFM, the best classic model, or their mean", parts=("agrifm", "classic")),
}
"""Families that `agrifm train` trains, by name: networks (`agrifm.models.family`), classic models, means of both."""


def is_classic(family: str) -> bool:
    """Return whether a family is one of classic models."""
    return family in TRAINABLE and TRAINABLE[family].classic


def is_network(family: str) -> bool:
    """Return whether a family is one of networks."""
    return family in TRAINABLE and not TRAINABLE[family].classic and not TRAINABLE[family].parts


def with_parts(names: Sequence[str]) -> tuple[str, ...]:
    """Return names of families, with the parts of means before them and each name once."""
    return tuple(dict.fromkeys(one for name in names for one in (*TRAINABLE[name].parts, name)))


def seed_names(family: str, seeds: int) -> tuple[str, ...]:
    """Return the names of the networks of a family that are trained with several seeds; one has the family's name."""
    return (family,) if seeds == 1 or not is_network(family) else tuple(f"{family}-{seed}" for seed in range(seeds))


class SensorInput(Frozen):
    """One sensor as a model expects it or as a cube contains it."""

    sensor: str
    bands: tuple[str, ...] = Field(min_length=1)
    quantity: Quantity
    scale: float = Field(gt=0)
    """Unit of the quantity per stored integer (0.0001 for reflectance)."""
    resolution: float = Field(gt=0)
    """Pixel side in the units of the grid's CRS."""


class ExpectedSensor(SensorInput):
    """What weights expect of one sensor; its bands are in the order of the weights."""

    absent_bands: tuple[str, ...] = ()
    """Bands that a cube may lack."""


class SensorRecord(ExpectedSensor):
    """What a model expects of one sensor, and the statistics for its normalisation."""

    sensor: str = Field(pattern=r"^[^./\\]+$")
    """Parts of a network have its name, which cannot have a dot."""
    mean: tuple[float, ...]
    """Mean per band, in the quantity's unit."""
    std: tuple[float, ...]
    """Standard deviation per band, in the quantity's unit."""

    @model_validator(mode="after")
    def _statistics_are_of_the_bands(self) -> Self:
        if not len(self.mean) == len(self.std) == len(self.bands) or min(self.std, default=0) < 0:
            raise ValueError("`mean` and `std` must have one number per band, none of `std` below 0")
        if not all(math.isfinite(number) for number in (*self.mean, *self.std)):
            raise ValueError("`mean` and `std` must be finite numbers")
        return self


class ModelRecord(Frozen):
    """Everything needed to use a model's weights correctly."""

    format: Literal[1] = 1
    name: str
    """Name under which the model is scored and mapped."""
    family: str
    """Family of the model, such as "agrifm", "tempcnn" or "classic"."""
    architecture: dict[str, Any]
    """The model's configuration, enough to build it without its weights."""
    sensors: tuple[SensorRecord, ...] = Field(min_length=1)
    frames: int = Field(ge=1)
    """Number of equal periods into which the season is divided for the model."""
    series: SeriesKind = "interpolated"
    """The series that the model reads; `observed` series have as many frames as there are observations."""
    absent_sensors: tuple[str, ...] = ()
    """Sensors that a cube may lack."""
    side: int = Field(ge=1)
    """Side of the training windows, target pixels."""
    margin: int = Field(0, ge=0)
    """Target pixels around a window that the model needs, so that the result does not depend on how the map is cut."""
    legend: Legend
    task: Task = "crop-type"
    """What the classes of the legend are."""
    season: tuple[date, date]
    area: tuple[float, float, float, float] | None = None
    """West, south, east, north of the training area, in degrees."""
    calibration: Calibration | None = None
    """How its probabilities are made honest; None = they are used as they are."""
    candidates: CandidateSets | None = None
    """From which calibrated probability on a class is a candidate; None = it is not known."""
    training: dict[str, Any] = Field(default_factory=dict)
    """How it was trained: seed, steps, number of parcels, share of time spent waiting for data."""
    versions: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _family_of_older_records(cls, content: Any) -> Any:
        """Add the family to a record that was saved when there were only AgriFM and the random forest."""
        if not isinstance(content, dict) or "family" in content:
            return content
        architecture = content.get("architecture")
        forest = isinstance(architecture, dict) and architecture.get("kind") == "random forest"
        return {**content, "family": "random-forest" if forest else "agrifm"}

    @model_validator(mode="after")
    def _calibration_is_of_the_classes(self) -> Self:
        if self.calibration is not None and self.calibration.classes not in (None, len(self.legend)):
            raise ValueError("`calibration` must have one number or curve per class")
        if self.candidates is not None and len(self.candidates.least) != len(self.legend):
            raise ValueError("`candidates` must have one threshold per class")
        return self


TRAINING_DATA = "training.gpkg"
"""File, in the directory of models, of the parcels and points that they were trained on."""
PARCELS_OF_TILES = "parcels.parquet"
"""File, in the directory of tiles, of the labelled parcels of a divided area."""


def model_file(directory: AnyPath, family: str, seeds: int = 1) -> Path:
    """Return the path of the model of a family that `agrifm train` writes into a directory.

    Networks are safetensors files. Classic models are skops files, which hold arrays and trees without pickle. Means,
    also those of networks of several seeds, are JSON files that name the files of their members.
    """
    directory = as_path(directory)
    if is_classic(family):
        return directory / f"{family}.skops"
    is_mean = family in TRAINABLE and TRAINABLE[family].parts
    return directory / f"{family}{'.json' if is_mean or seeds > 1 else '.safetensors'}"


def predicted_layers(record: ModelRecord) -> int:
    """Return how many numbers a model predicts per pixel: probabilities of classes, maps of boundaries, or yields."""
    return len(LAYERS.get(record.task, record.legend.classes))


def require_classes(record: ModelRecord, about: str) -> None:
    """Refuse a model that does not predict probabilities of classes.

    Raises:
        ModelError: it predicts boundaries, yields or shares.
    """
    if record.task in WITHOUT_PROBABILITIES:
        raise ModelError(
            f"{about}: the model '{record.name}' is of the task '{record.task}' and has no probabilities of classes; "
            "give a model of classes",
            task=record.task,
        )


def record_in_words(record: ModelRecord) -> str:
    """Return what a trained model knows, and of which season."""
    start, end = record.season
    content = f"{len(record.legend)} classes"
    if record.task == "yield":
        scale = yield_scale(record)
        content = (
            f"yield of {listed(record.legend.codes)} in {scale.unit}, in training {scale.mean:.2f} ± {scale.std:.2f}"
        )
    if record.task == "fractions":
        content = f"shares of {len(record.legend)} classes in pixels of {record.sensors[0].resolution:g} m"
    return f"trained model {record.name!r}: {content}, season {start} to {end}"


def yield_scale(record: ModelRecord) -> YieldScale:
    """Return the scale of a model of yields.

    Raises:
        ModelError: its record has none.
    """
    try:
        return YieldScale.model_validate(record.training["yield"])
    except (KeyError, ValidationError) as error:
        raise ModelError(
            f"using the model '{record.name}': its record has no scale of yields; train it again", task=record.task
        ) from error


def target_pixels(sensors: Sequence[SensorInput]) -> dict[str, int]:
    """Return the side of one pixel of each sensor in target pixels; the first sensor has the target grid."""
    return {sensor.sensor: round(sensor.resolution / sensors[0].resolution) for sensor in sensors}


def running_versions(*packages: str) -> dict[str, str]:
    """Return the versions of Python, agrifm and the named packages that are installed."""
    versions = {"python": platform.python_version()}
    for package in ("agrifm", "numpy", *packages):
        try:
            versions[package] = _version(package)
        except PackageNotFoundError:
            continue
    return versions


@lru_cache
def _version(package: str) -> str:
    """Its metadata is parsed once, because a comparison asks for the versions of every cell."""
    return version(package)


def present_sensors(record: ModelRecord, cube: Mapping[str, SensorInput]) -> tuple[SensorRecord, ...]:
    """Return the sensors of a record that a cube has, in the order of the record."""
    return tuple(sensor for sensor in record.sensors if sensor.sensor in cube)


LIKE_PIXELS = 2.0
"""Most times that pixels may be as long or as short as those of the sensor for a model of single pixels: larger ones
would mix fields that its training places did not mix."""
METRES_PER_DEGREE = 111_320.0
"""Of latitude: a side below 0.1 is taken for degrees."""


def has_like_pixels(actual: SensorInput, expected: SensorInput) -> bool:
    """Return whether pixels of a cube are about as large as those that a model of single pixels was trained on."""
    side = actual.resolution * (METRES_PER_DEGREE if actual.resolution < 0.1 else 1.0)
    return 1 / LIKE_PIXELS <= side / expected.resolution <= LIKE_PIXELS


class Expectation(Protocol):
    """What the record of a model or of converted weights expects of a cube."""

    @property
    def name(self) -> str:
        """Name of the model."""

    @property
    def sensors(self) -> Sequence[ExpectedSensor]:
        """What it expects of each sensor."""

    @property
    def absent_sensors(self) -> tuple[str, ...]:
        """Sensors that a cube may lack."""


def require_fit(record: Expectation, cube: Mapping[str, SensorInput], cube_name: str) -> None:
    """Refuse a cube that does not fit the model, naming the first difference. The order of bands does not matter.

    Args:
        cube: contents of the cube, by sensor name.
        cube_name: the cube's name in the message.

    Raises:
        ModelError: a sensor or band is missing, or scale, quantity or resolution differ. For a model of single pixels
            pixels may be of other sides (`LIKE_PIXELS`): it knows nothing of their neighbours.
    """
    about = f"using the model '{record.name}' on {cube_name}"
    of_points = isinstance(record, ModelRecord) and record.side == 1
    for expected in record.sensors:
        actual = cube.get(expected.sensor)
        if actual is None and expected.sensor in record.absent_sensors:
            continue
        if actual is None:
            raise ModelError(
                f"{about}: the cube has no sensor '{expected.sensor}' (it has {', '.join(cube) or 'none'}); "
                "fetch that sensor, or train a model without it",
                sensor=expected.sensor,
            )
        missing = [band for band in expected.bands if band not in (*actual.bands, *expected.absent_bands)]
        if missing:
            raise ModelError(
                f"{about}: the cube's '{expected.sensor}' has no band '{missing[0]}' (it has "
                f"{', '.join(actual.bands)}); fetch that band, or train a model without it",
                sensor=expected.sensor,
                band=missing[0],
            )
        for field in ("quantity", "scale", "resolution"):
            wanted, has = getattr(expected, field), getattr(actual, field)
            if wanted != has and not (of_points and field == "resolution" and has_like_pixels(actual, expected)):
                raise ModelError(
                    f"{about}: the model expects '{expected.sensor}' with {field} {wanted!r}, the cube has {has!r}; "
                    "use the model on a cube with the settings of its training",
                    sensor=expected.sensor,
                    field=field,
                    expected=wanted,
                    found=has,
                )
