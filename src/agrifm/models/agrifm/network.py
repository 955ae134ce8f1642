"""AgriFM: one series of images per source in, class scores for each pixel of the first source out.

A source is a plain series, as the released model reads it, or an `ObservedSeries` of any length with dates and gaps, or
absent. Coarser sources are resampled to the target grid, which is the pixel grid of the first source.

Shape letters: B samples, T frames, C channels (bands), K features, H W rows and columns.
Parameter and buffer names are those of the public AgriFM code (github.com/flyakon/AgriFM, commit 13f476e). With equal
weights the numbers are equal too.
"""

from collections.abc import Mapping
from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from agrifm.errors import ModelError, did_you_mean
from agrifm.models.agrifm.neck import MultiFusionNeck, SegmentationHead, resize
from agrifm.models.agrifm.pixel_decoder import PixelDecoder, PixelDecoderConfig, SourceLayout
from agrifm.models.agrifm.swin3d import (
    EncoderOutput,
    MultiSourceEncoder,
    SwinBackbone,
    SwinConfig,
    SwinEncoder,
    without_removed_options,
)
from agrifm.models.agrifm.tasks import Task, TaskHeads, TaskName
from agrifm.models.agrifm.timeseries import Images, ObservedSeries, frames_of, image_of
from agrifm.models.agrifm.window_partition import Size, Triple
from agrifm.sensors import SENSORS
from agrifm.validation import Frozen


class Source(Frozen):
    """One kind of image series that a model reads."""

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")
    """Key of the images, and part of the parameter names."""
    channels: int = Field(gt=0)
    """Bands, in the order of the model's record."""
    patch: Triple = (4, 2, 2)
    """Frames, rows and columns that become one token."""
    frames: int | None = Field(None, gt=0)
    """Length of the series. `cat` fusion needs it because it sets the channels of the neck; the pixel decoder brings
    each pixel's series to so many steps."""
    pixel: int = Field(1, gt=0)
    """Side of one of its pixels, in target pixels."""


class AgriFMConfig(Frozen):
    """Everything that decides the shape of a model."""

    sources: tuple[Source, ...] = Field(min_length=1)
    """The pixels of the first one are the target grid."""
    classes: int = Field(gt=0)
    """Scores per pixel."""
    encoder: SwinConfig
    """Shape of the encoder, the same for every source."""
    neck_sources: tuple[str, ...] = Field(min_length=1)
    """Sources whose coarsest features start the neck."""
    neck_levels: tuple[tuple[str, ...], ...]
    """Sources whose finer features join at each level of the neck, coarsest level first, in the order of joining."""
    pixel_decoder: PixelDecoderConfig | None = None
    """The pixel decoder in place of neck and head. It uses every source at every level and needs `mean` fusion."""
    shared: bool = False
    """One backbone for all sources, as in pretraining; otherwise one for each."""
    season_days: int = Field(365, gt=0)
    """Length of the season. The pixel decoder spreads its steps of an observed series over it."""
    tasks: dict[TaskName, Task] = Field(default_factory=dict)
    """Outputs in addition to class scores, by a name of your choice (docs/tasks.md)."""

    @model_validator(mode="before")
    @classmethod
    def read_older_records(cls, content: Any) -> Any:
        """Accept records of models that were saved when there were more options, and `pixel_decoder` was `lean`."""
        content = without_removed_options(content, {"gates": False, "feature_size": None, "out_size": None})
        if isinstance(content, dict) and "lean" in content:
            content["pixel_decoder"] = content.pop("lean")
        return content

    @model_validator(mode="after")
    def check_consistency(self) -> Self:
        names = [source.name for source in self.sources]
        if len(set(names)) < len(names):
            raise ValueError(f"sources are named {', '.join(names)}; give every source a different name")
        used = {*self.neck_sources, *(name for level in self.neck_levels for name in level)}
        if unknown := sorted(used - set(names)):
            raise ValueError(f"the neck uses {', '.join(unknown)}, but the sources are {', '.join(names)}")
        if not 0 < len(self.neck_levels) <= 4:
            raise ValueError(f"neck_levels has {len(self.neck_levels)} levels; an encoder offers features for 1 to 4")
        if self.pixel_decoder is not None and self.encoder.fusion != "mean":
            raise ValueError("the pixel decoder needs `mean` fusion")
        if self.pixel_decoder is not None or self.encoder.fusion == "cat":
            reader = "`cat` fusion" if self.pixel_decoder is None else "the pixel decoder"
            if open_length := [source.name for source in self.sources if source.frames is None]:
                raise ValueError(f"{reader} needs the number of frames of {', '.join(open_length)}; set `frames`")
        if "classes" in self.tasks:
            raise ValueError("the task name `classes` is reserved for the class scores of every model; rename the task")
        widths = {name: self.widths(name)[-1] for name in self.neck_sources}
        if len(set(widths.values())) > 1:
            raise ValueError(f"the sources that start the neck differ in channels: {widths}; change their `frames`")
        return self

    def source(self, name: str) -> Source:
        """Return the source of that name."""
        return next(source for source in self.sources if source.name == name)

    def time_steps(self, source: Source, frames: int) -> tuple[int, ...]:
        """Time steps per stage that multiply the channels of the feature maps; with `mean` fusion always one."""
        steps = self.encoder.time_steps(frames, source.patch[0])
        return steps if self.encoder.fusion == "cat" else (1, 1, 1, 1)

    def widths(self, name: str) -> tuple[int, ...]:
        """Channels of a source's `features_list`; its `encoder_features` have as many as the last entry."""
        source = self.source(name)
        steps = self.time_steps(source, source.frames or 1)
        return tuple(c * d for c, d in zip(self.encoder.widths(), steps, strict=True))


class AgriFM(nn.Module):
    """Encoders, and either neck and head of the released model or the pixel decoder."""

    def __init__(self, config: AgriFMConfig) -> None:
        super().__init__()
        self.config = config
        self.encoders = MultiSourceEncoder(
            {s.name: SwinEncoder(s.channels, s.patch, config.encoder, not config.shared) for s in config.sources},
            SwinBackbone(config.encoder) if config.shared else None,
        )
        if config.pixel_decoder is not None:
            layouts = {
                s.name: SourceLayout(s.channels, s.frames or 1, config.widths(s.name)[::-1], s.pixel, s.patch[1:])
                for s in config.sources
            }
            self.decoder = PixelDecoder(layouts, config.classes, config.pixel_decoder, config.season_days)
            width = config.pixel_decoder.hidden
        else:
            entries = range(len(config.neck_levels))
            levels = [
                {name: config.widths(name)[entry] for name in names}
                for names, entry in zip(config.neck_levels, reversed(entries), strict=True)
            ]
            width = config.widths(config.neck_sources[0])[-1]
            self.neck = MultiFusionNeck(width, config.neck_sources, levels)
            self.heads = SegmentationHead(width, config.classes)
        # the tasks come last, so that all other layers draw the same random numbers with and without them
        self.tasks = TaskHeads(config.tasks, width)

    def forward(self, images: Images) -> Tensor:
        """Logits (B, classes, H, W) on the pixels of the first source.

        Args:
            images: per source (B, T, C, H, W), normalised, where (B, C, H, W) is a series of one frame; or an
                `ObservedSeries`; or None, where the source is absent. Every source covers the same ground. Entries
                that are not a source of this model are ignored.

        Raises:
            ModelError: if a source is not mentioned, all are absent, or one does not match the config.
        """
        if self.config.pixel_decoder is None:
            scores: Tensor = self.heads.at_size(*self._fused(images))
            return scores
        logits: Tensor = self.decoder.head(self.features(images))
        return logits

    def predict_tasks(self, images: Images, parcels: Tensor | None = None) -> dict[str, Tensor]:
        """The result of every task by its name, and class logits as `classes`, from one pass.

        Args:
            images: as in `forward`.
            parcels: (B, H, W) on the grid of the logits, number of the parcel at each pixel, -1 = none. Without it the
                result lacks the tasks per parcel.

        Raises:
            ModelError: as in `forward`, or if the parcels are on another grid.
        """
        if self.config.pixel_decoder is None:
            fused, size = self._fused(images)
            classes = self.heads.at_size(fused, size)
            # the map at full resolution is large; it is made only if a task reads it
            features_BKHW = resize(fused, size) if self.config.tasks or parcels is not None else fused
        else:
            features_BKHW = self.features(images)
            classes = self.decoder.head(features_BKHW)
        others: dict[str, Tensor] = self.tasks(features_BKHW, parcels)
        return {"classes": classes, **others}

    def features(self, images: Images) -> Tensor:
        """What all heads read, (B, K, H, W) on the grid of the logits; arguments and errors are those of `forward`."""
        if self.config.pixel_decoder is None:
            return resize(*self._fused(images))
        check_images(images, self.config)
        features = self.encoders(images)
        decoded: Tensor = self.decoder.features(features, images, target_size(images, self.config))
        return decoded

    def _fused(self, images: Images) -> tuple[Tensor, Size]:
        """The output of the neck, and the size to which it has to be resized."""
        check_images(images, self.config)
        features = self.encoders(images)
        start, result = self.neck_sizes(features, target_size(images, self.config))
        fused: Tensor = self.neck(features, start)
        return fused, result

    def neck_sizes(self, features: Mapping[str, EncoderOutput], target: Size) -> tuple[Size, Size]:
        """Rows and columns at the start of the neck, and of the result, for a target grid of that size.

        Configs of the public code state both numbers (`feature_size`, `out_size`), for one size of images. Images of
        that size lead to the same numbers here, so released decoders need no fixed sizes.
        """
        first = self.config.sources[0]
        if first.name not in features:
            return _coarsest(target, first), target
        rows, columns = features[first.name].encoder_features.shape[-2:]
        return (rows, columns), target


def _coarsest(size: Size, source: Source) -> Size:
    """Rows and columns that the coarsest features of an absent source would have."""
    _, *sides = source.patch
    rows, columns = (-(-length // (8 * side * source.pixel)) for length, side in zip(size, sides, strict=True))
    return rows, columns


def target_size(images: Images, config: AgriFMConfig) -> Size:
    """Rows and columns of the target grid below the images, from the finest source that is present."""
    finest, *others = [source for source in config.sources if images[source.name] is not None]
    for source in others:  # torch.compile does not support `min` with a key
        finest = source if source.pixel < finest.pixel else finest
    series = images[finest.name]
    assert series is not None
    height, width = image_of(series).shape[-2:]
    return height * finest.pixel, width * finest.pixel


def check_images(images: Images, config: AgriFMConfig) -> None:
    """Raise a ModelError if the images do not match the config; it says which source differs, and in what."""
    if torch.compiler.is_exporting():  # sizes are symbols then; the caller of the exported graph checks its images
        return
    if missing := [s.name for s in config.sources if s.name not in images]:
        given = ", ".join(images) or "none"
        raise ModelError(
            f"the model needs images of {', '.join(missing)} (found: {given}); add them to the sample, or give None "
            "for an absent sensor"
        )
    names = tuple(source.name for source in config.sources)
    present = {name: series for name, series in images.items() if series is not None and name in names}
    needed = config.neck_sources if config.pixel_decoder is None else names
    if not set(needed) & set(present):
        raise ModelError(f"all of {', '.join(needed)} are absent; give the images of at least one")
    samples = {name: len(image_of(series)) for name, series in present.items()}
    if len(set(samples.values())) > 1:
        raise ModelError(f"the sources differ in samples per batch: {samples}; give every sample all its sources")
    for name, series in present.items():
        _check_series(series, config.source(name), config)
        if config.pixel_decoder is not None:
            _check_ground(image_of(series), config.source(name), target_size(images, config))


def _check_series(series: Tensor | ObservedSeries, source: Source, config: AgriFMConfig) -> None:
    if isinstance(series, ObservedSeries):
        _check_observed(series, source)
    image = image_of(series)
    if image.ndim not in (4, 5):
        raise ModelError(
            f"images of {source.name} have {image.ndim} axes; give (sample, frame, band, row, column), "
            "or (sample, band, row, column) for a single frame"
        )
    if image.shape[-3] != source.channels:
        raise ModelError(
            f"images of {source.name} have {image.shape[-3]} bands, the model expects {source.channels}; "
            "select the bands of the model's record"
        )
    if 0 in image.shape:
        raise ModelError(f"images of {source.name} are empty, shape {tuple(image.shape)}; give at least one pixel")
    # the channels of `cat` features grow with time, and the neck's convolutions have a fixed number of channels
    frames = frames_of(image)
    expected = config.time_steps(source, source.frames or 1)
    if config.time_steps(source, frames) != expected:
        longest = source.patch[0] * expected[0]
        fitting = [t for t in range(1, longest + 1) if config.time_steps(source, t) == expected]
        raise ModelError(
            f"images of {source.name} have {frames} frames, but with `cat` fusion this model accepts "
            f"{fitting[0]} to {fitting[-1]}; composite the season into as many periods, or use a preset with "
            "`mean` fusion, which accepts any number"
        )
    if config.pixel_decoder is not None and isinstance(series, Tensor) and frames != source.frames:
        raise ModelError(
            f"images of {source.name} have {frames} frames, but the model reads {source.frames}; interpolate the "
            "season to as many steps, or give the observed series"
        )


def _check_observed(series: ObservedSeries, source: Source) -> None:
    about = f"the observed series of {source.name}"
    if series.image.ndim != 5:
        raise ModelError(f"{about} has {series.image.ndim} axes; give (sample, frame, band, row, column)")
    B, T, C, H, W = series.image.shape
    if series.day.shape not in ((B, T), (B, T, H, W)):
        raise ModelError(f"{about} has `day` of shape {tuple(series.day.shape)}, expected {(B, T)} or {(B, T, H, W)}")
    expected = {"valid": (B, T, H, W), "first_day": (B,), "absent": (B, C)}
    for name, shape in expected.items():
        tensor: Tensor | None = getattr(series, name)
        if tensor is not None and tensor.shape != shape:
            raise ModelError(f"{about} has `{name}` of shape {tuple(tensor.shape)}, expected {shape}")


def _check_ground(image: Tensor, source: Source, target: Size) -> None:
    expected = tuple(-(-length // source.pixel) for length in target)
    if image.shape[-2:] != expected:
        raise ModelError(
            f"images of {source.name} have {tuple(image.shape[-2:])} pixels, but {expected} of its pixels of "
            f"{source.pixel} target pixels cover the target's {target}; give every sensor the same ground"
        )


PRESETS: dict[str, SwinConfig] = {
    # the released encoder
    "base": SwinConfig(),
    # window: up to 48 frames attend to each other at once; 6 divides the token grids of 96 px samples at every stage
    "small": SwinConfig(
        embed_dim=48, depths=(2, 2, 6, 2), heads=(2, 4, 8, 16), window=(12, 6, 6), drop_path=0.1, fusion="mean"
    ),
    # window: the same for 48 px
    "tiny": SwinConfig(
        embed_dim=16, depths=(2, 2, 2, 2), heads=(1, 2, 4, 8), window=(12, 3, 3), drop_path=0.1, fusion="mean"
    ),
}
RELEASED_PIXELS = {"sentinel-2": 1, "landsat": 3, "modis": 48}
"""Pixels of the sensors of the released weights, in those of Sentinel-2; they decide the tokens for any target."""
CAT_TIME_STEPS = 8
"""Time steps at the start of the token grid with `cat` fusion: 29 to 32 frames in patches of four."""


def preset(
    name: str,
    sources: Mapping[str, int],
    classes: int,
    patches: Mapping[str, Triple] | None = None,
    frames: int | None = None,
    season_days: int = 365,
) -> AgriFMConfig:
    """Config of a model of a known size, with every source at every level of the neck.

    Args:
        name: `base` (as released), `small` or `tiny`.
        sources: bands per source; the pixels of the first one are the target grid.
        classes: scores per pixel.
        patches: frames, rows and columns per token, where they differ from the usual (4, 2, 2). Of sensors with coarse
            pixels, such as `landsat` and `modis`, each pixel is a token: (4, 1, 1).
        frames: of every series. If it is known, `small` and `tiny` have the pixel decoder, with larger tokens:
            (4, 4, 4), for `landsat` (4, 2, 2), and one backbone for all sources.
        season_days: length of the season that the frames divide.

    Raises:
        ModelError: the preset is unknown, or `patches` names a source that is not in `sources`.
    """
    if name not in PRESETS:
        near = did_you_mean(name, PRESETS)
        raise ModelError(f"unknown preset {name!r}{near} (known: {', '.join(PRESETS)})", preset=name)
    if strangers := sorted(set(patches or {}) - set(sources)):
        raise ModelError(f"patches are given for {', '.join(strangers)}, not among the sources {', '.join(sources)}")
    decoder = PixelDecoderConfig() if frames is not None and name != "base" else None
    encoder = PRESETS[name].model_copy(update={"attended_skips": decoder is not None})
    target = next(iter(sources))
    patch = {source: _usual_patch(source, target, decoder is not None) for source in sources} | dict(patches or {})
    return AgriFMConfig(
        sources=tuple(
            Source(
                name=source,
                channels=channels,
                patch=patch[source],
                frames=CAT_TIME_STEPS * patch[source][0] if encoder.fusion == "cat" else frames,
                pixel=_usual_pixel(source, target),
            )
            for source, channels in sources.items()
        ),
        classes=classes,
        encoder=encoder,
        neck_sources=tuple(sources),
        neck_levels=(tuple(sources),) * 3,
        pixel_decoder=decoder,
        shared=decoder is not None,
        season_days=season_days,
    )


def _usual_patch(source: str, target: str, pixel_decoder: bool) -> Triple:
    """Frames, rows and columns per token: the coarser the pixels, the fewer of them."""
    pixel = RELEASED_PIXELS.get(source, _usual_pixel(source, target))
    side = 2 if pixel <= 2 else 1
    return (4, 2 * side, 2 * side) if pixel_decoder and pixel < 16 else (4, side, side)


def _usual_pixel(source: str, target: str) -> int:
    """Target pixels along a pixel of a known sensor; 1 for sources that agrifm does not know."""
    known = {source, target} <= SENSORS.keys()
    return max(1, round(SENSORS[source].resolution / SENSORS[target].resolution)) if known else 1
