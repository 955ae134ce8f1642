"""AgriFM for single pixels: points and parcels, whose neighbours are unknown.

The pixel decoder normalises each sample by itself, so it works on one pixel; the released neck would take statistics
over a batch of single pixels, each drawn out to 8 x 8.
"""

from collections.abc import Sequence

from agrifm.models.agrifm.network import AgriFMConfig, Source
from agrifm.models.agrifm.pixel_decoder import PixelDecoderConfig
from agrifm.models.agrifm.swin3d import SwinConfig
from agrifm.record import SensorInput

POINT_ENCODER = SwinConfig(
    embed_dim=16,
    depths=(2, 2, 2, 2),
    heads=(1, 2, 4, 8),
    window=(12, 1, 1),
    drop_path=0.1,
    fusion="mean",
    attended_skips=True,
    dates=True,
    validity=True,
)
POINT_DECODER = PixelDecoderConfig(detail=128, basis=0, kernel=1, separable=False)


def point_config(sensors: Sequence[SensorInput], classes: int, frames: int, season_days: int) -> AgriFMConfig:
    """Return the configuration of an AgriFM that reads observed series of single pixels.

    Two frames are a token, and attention is over time alone.

    Args:
        sensors: the series it reads.
        classes: scores per pixel.
        frames: steps to which the decoder brings each series.
        season_days: length of the season, over which these steps are spread.
    """
    names = tuple(sensor.sensor for sensor in sensors)
    return AgriFMConfig(
        sources=tuple(
            Source(name=sensor.sensor, channels=len(sensor.bands), patch=(2, 1, 1), frames=frames) for sensor in sensors
        ),
        classes=classes,
        encoder=POINT_ENCODER,
        neck_sources=names,
        neck_levels=(names,) * 3,
        pixel_decoder=POINT_DECODER,
        shared=len(names) > 1,
        season_days=season_days,
    )
