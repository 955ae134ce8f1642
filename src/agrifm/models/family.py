"""The families of networks: how each is configured, built and sized.

A network receives a dictionary of normalised series by sensor, as `agrifm.models.classifier.Classifier` makes it, and
returns logits (B, classes, H, W). A new family is one file with its network, and one entry in `FAMILIES`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import nn

from agrifm.errors import ModelError, did_you_mean
from agrifm.models import tempcnn
from agrifm.models.agrifm.network import AgriFM, AgriFMConfig, preset
from agrifm.record import SensorRecord, SeriesKind
from agrifm.validation import Frozen


class Preset(Protocol):
    """Choose the configuration of a network of a usual size."""

    def __call__(
        self,
        name: str,
        sensors: Sequence[SensorRecord],
        classes: int,
        frames: int,
        series: SeriesKind,
        season_days: int,
    ) -> Any:
        """Return the configuration of the preset `name`, such as "tiny".

        Args:
            sensors: the sensors it reads; the first one's pixels are the target grid.
            frames: steps of interpolated series and composites.
            season_days: length of the season.

        Raises:
            ModelError: the preset is unknown, or the family cannot read such series.
        """


@dataclass(frozen=True)
class Family:
    """What the rest of the package needs to know of a family of networks."""

    config: type[Frozen]
    """Everything that decides the shape of a network; `architecture` in the model's record."""
    network: Callable[[Any], nn.Module]
    """Builds a network with random weights from its configuration, which it keeps as `config`."""
    preset: Preset


def _agrifm_preset(
    name: str, sensors: Sequence[SensorRecord], classes: int, frames: int, series: SeriesKind, season_days: int
) -> AgriFMConfig:
    """AgriFM; it is given dates and validity where the series have them."""
    bands = {sensor.sensor: len(sensor.bands) for sensor in sensors}
    config = preset(name, bands, classes, frames=frames, season_days=season_days)
    if series == "interpolated":
        return config
    encoder = config.encoder.model_copy(update={"dates": True, "validity": True})
    return config.model_copy(update={"encoder": encoder})


def _tempcnn_preset(
    name: str, sensors: Sequence[SensorRecord], classes: int, frames: int, series: SeriesKind, season_days: int
) -> tempcnn.TempCNNConfig:
    """TempCNN; each of its weights belongs to one step of the season, so it reads interpolated series only."""
    if series != "interpolated":
        raise ModelError(
            f"building a TempCNN for {series} series: it reads series interpolated to equal steps; set `series` to "
            '"interpolated"',
            series=series,
        )
    return tempcnn.tempcnn_preset(name, {sensor.sensor: len(sensor.bands) for sensor in sensors}, classes, frames)


FAMILIES: Mapping[str, Family] = {
    "agrifm": Family(AgriFMConfig, AgriFM, _agrifm_preset),
    "tempcnn": Family(tempcnn.TempCNNConfig, tempcnn.TempCNN, _tempcnn_preset),
}


def family_of(name: str, about: str) -> Family:
    """Return the family of networks of that name.

    Args:
        about: what is being done, for the error.

    Raises:
        ModelError: the family is unknown.
    """
    if name not in FAMILIES:
        raise ModelError(
            f"{about}: unknown family of networks '{name}'{did_you_mean(name, FAMILIES)} "
            f"(known: {', '.join(FAMILIES)}); use the version of agrifm that wrote the model",
            family=name,
        )
    return FAMILIES[name]
