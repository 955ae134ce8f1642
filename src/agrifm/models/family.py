"""The families of networks: how each is configured, built and sized.

A network receives a dictionary of normalised series by sensor, as `agrifm.models.classifier.Classifier` makes it, and
returns logits (B, classes, H, W). A new family is one file with its network, one entry in `FAMILIES`, and one in
`agrifm.record.TRAINABLE`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

from agrifm.errors import ModelError, did_you_mean
from agrifm.models import convlstm, cropnet, galileo, ltae, presto, prithvi, tempcnn, transformer, tsvit, unet3d, utae
from agrifm.models.agrifm import memory
from agrifm.models.agrifm.network import AgriFM, AgriFMConfig, preset
from agrifm.models.cost import LIBRARY_BYTES, TRAINED_NUMBERS, SeriesShape
from agrifm.models.weights.released import Released
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
            ModelError: the preset is unknown.
        """


class Activations(Protocol):
    """Estimate the numbers in memory at the peak of one pass, without the weights."""

    def __call__(self, config: Any, inputs: Mapping[str, SeriesShape], training: bool, recomputed: bool, /) -> float:
        """Return copies of the series (`agrifm.models.cost.IMAGE_COPIES`), and what the layers make and keep.

        Args:
            config: of the network.
            inputs: (B, T, H, W) of the images of each sensor that is present.
            training: forward and backward pass; otherwise forward without gradients.
            recomputed: whether blocks are computed again in the backward pass.
        """


@dataclass(frozen=True)
class Family:
    """What the rest of the package needs to know of a family of networks."""

    config: type[Frozen]
    """Everything that decides the shape of a network; `architecture` in the model's record."""
    network: Callable[[Any], nn.Module]
    """Builds a network with random weights from its configuration, which it keeps as `config`."""
    preset: Preset
    first_channels: Callable[[Any], int]
    """Returns from the configuration how many numbers per target pixel the first layer makes.

    They decide whether a second thread pays in training (`agrifm.train.fit`).
    """
    activations: Activations
    statistics: Callable[[Any, Sequence[SensorRecord]], tuple[SensorRecord, ...]] | None = None
    """Replaces mean and standard deviation in the record by those that released weights were trained with; None = the
    statistics of the training data are used."""
    released: Released | None = None
    """Weights that the encoder can start from; None = none, or AgriFM's (`agrifm.train.initialise`)."""

    def memory_needed(
        self, config: Any, inputs: Mapping[str, SeriesShape], training: bool, recomputed: bool = False
    ) -> int:
        """Estimate the bytes at the peak of one pass in float32, beyond those of the process before weights are read.

        Args:
            config: of the network.
            inputs: (B, T, H, W) of the images of each sensor that is present.
            training: forward, backward and the optimiser's step; otherwise forward without gradients.
            recomputed: whether blocks are computed again in the backward pass (`agrifm.models.precision.Compute`).
        """
        # on this device tensors have shapes and no memory
        with torch.device("meta"):
            weights = sum(parameter.numel() for parameter in self.network(config).parameters())
        numbers = weights * (TRAINED_NUMBERS if training else 1) + self.activations(
            config, inputs, training, recomputed
        )
        # four bytes per number in float32
        return round(4 * numbers + LIBRARY_BYTES)


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
    return tempcnn.tempcnn_preset(name, {sensor.sensor: len(sensor.bands) for sensor in sensors}, classes, frames)


MONTHLY = (
    "monthly values in whole groups of bands: Sentinel-2 surface reflectance (B02 B03 B04; B05 B06 B07; B08; B8A; "
    "B11 B12), Sentinel-1 in decibels (VV VH), weather (temperature_2m total_precipitation); and the place"
)
"""What Presto and Galileo read."""
FAMILIES: dict[str, Family] = {
    "agrifm": Family(AgriFMConfig, AgriFM, _agrifm_preset, lambda config: config.encoder.embed_dim, memory.activations),
    "tempcnn": Family(
        tempcnn.TempCNNConfig,
        tempcnn.TempCNN,
        _tempcnn_preset,
        lambda config: config.width * config.frames,
        tempcnn.tempcnn_activations,
    ),
    "ltae": Family(
        ltae.LTAEConfig, ltae.LTAE, ltae.ltae_preset, lambda config: config.dim * config.frames, ltae.ltae_activations
    ),
    "utae": Family(
        utae.UTAEConfig,
        utae.UTAE,
        utae.utae_preset,
        lambda config: config.encoder[0] * config.frames,
        utae.utae_activations,
    ),
    "unet3d": Family(
        unet3d.UNet3DConfig,
        unet3d.UNet3D,
        unet3d.unet3d_preset,
        lambda config: config.width * config.frames,
        unet3d.unet3d_activations,
    ),
    "convlstm": Family(
        convlstm.ConvLSTMConfig,
        convlstm.ConvLSTM,
        convlstm.convlstm_preset,
        lambda config: 4 * config.hidden,
        convlstm.convlstm_activations,
    ),
    "tsvit": Family(
        tsvit.TSViTConfig,
        tsvit.TSViT,
        tsvit.tsvit_preset,
        lambda config: config.dim * config.frames // config.patch**2,
        tsvit.tsvit_activations,
    ),
    "cropnet": Family(
        cropnet.CropNetConfig,
        cropnet.CropNet,
        cropnet.cropnet_preset,
        lambda config: config.width * config.frames,
        cropnet.cropnet_activations,
    ),
    "transformer": Family(
        transformer.TransformerConfig,
        transformer.Transformer,
        transformer.transformer_preset,
        lambda config: config.dim * 12,
        transformer.transformer_activations,
    ),
    "presto": Family(
        presto.PrestoConfig,
        presto.Presto,
        presto.presto_preset,
        lambda config: config.dim * config.months,
        presto.presto_activations,
        lambda _, sensors: presto.presto_statistics(sensors),
        Released(
            "Presto's `default_model.pt` (github.com/nasaharvest/presto, MIT)",
            lambda _: presto.PrestoEncoder(**presto.PRESETS["base"]),
            lambda config, *_: config,
            MONTHLY,
        ),
    ),
    "galileo": Family(
        galileo.GalileoConfig,
        galileo.Galileo,
        galileo.galileo_preset,
        lambda config: config.dim * config.months,
        galileo.galileo_activations,
        lambda _, sensors: galileo.galileo_statistics(sensors),
        Released(
            "Galileo nano's `encoder.pt` (github.com/nasaharvest/galileo, MIT)",
            lambda _: galileo.GalileoEncoder(**galileo.PRESETS["base"]),
            lambda config, *_: config,
            MONTHLY,
        ),
    ),
    "prithvi": Family(
        prithvi.PrithviConfig,
        prithvi.Prithvi,
        prithvi.prithvi_preset,
        lambda config: config.dim * config.frames,
        prithvi.prithvi_activations,
        prithvi.prithvi_statistics,
        Released(
            "a Prithvi-EO 1.0-100M, 2.0-300M or 2.0-600M (huggingface.co/ibm-nasa-geospatial, Apache-2.0)",
            prithvi.released_encoder,
            prithvi.prithvi_layout,
            "three (1.0) or four (2.0) frames of surface reflectance of Sentinel-2, HLS or Landsat: blue, green, red, "
            "near infrared (narrow) and two of shortwave infrared",
            # the decoder of pretraining; positions follow from the grid; year, day and place are not given
            ("decoder", "mask_token", "pos_embed", "temporal_embed", "location_embed"),
        ),
    ),
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
