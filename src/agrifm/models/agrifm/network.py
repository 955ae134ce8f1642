"""AgriFM: a series of images per source in, class scores per pixel of the first source out.

A source may be a plain series, as the released model takes it, or an `Observed` one with its dates and gaps, of any
length, or be absent. Sources that are no finer than others meet them on the target grid.

Shape letters: B samples, T frames, C channels (bands), H W rows and columns.
Parameter and buffer names are those of the public AgriFM code (github.com/flyakon/AgriFM, commit 13f476e), and with
equal weights the numbers are too.
"""

from collections.abc import Mapping
from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from agrifm.errors import ModelError
from agrifm.models.agrifm.neck import MultiFusionNeck, SegmentationHead, resize
from agrifm.models.agrifm.pixel_decoder import LEAN, LeanConfig, LeanDecoder, SourceShape
from agrifm.models.agrifm.swin3d import (
    EncoderOutput,
    MultiSourceEncoder,
    SwinBackbone,
    SwinConfig,
    SwinEncoder,
    without_removed_options,
)
from agrifm.models.agrifm.tasks import Task, TaskHeads, TaskName
from agrifm.models.agrifm.timeseries import Images, Observed, frames_of, image_of
from agrifm.models.agrifm.window_partition import Size, Triple
from agrifm.sensors import SENSORS
from agrifm.validation import Frozen


class Source(Frozen):
    """One kind of image series that a model takes."""

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")
    """Key of the images, and part of the parameter names."""
    channels: int = Field(gt=0)
    """Bands, in the order of the model's record."""
    patch: Triple = (4, 2, 2)
    """Frames, rows and columns that become one token."""
    frames: int | None = Field(None, gt=0)
    """Length of the series with `cat` fusion, where it decides the channels of the neck; with `lean` the steps to which
    each pixel's series is brought."""
    pixel: int = Field(1, gt=0)
    """Target pixels along one of its pixels."""


class AgriFMConfig(Frozen):
    """Everything that decides the shape of a model."""

    sources: tuple[Source, ...] = Field(min_length=1)
    """The first one's pixels are the target grid."""
    classes: int = Field(gt=0)
    """Scores per pixel."""
    encoder: SwinConfig
    """Shape of every source's encoder."""
    neck_sources: tuple[str, ...] = Field(min_length=1)
    """Sources whose coarsest features start the neck."""
    neck_levels: tuple[tuple[str, ...], ...]
    """Sources whose finer features join at each level of the neck, coarsest level first, in the order of joining."""
    lean: LeanConfig | None = None
    """The lean decoder in place of neck and head; it takes every source at every level, `mean` fusion only."""
    shared: bool = False
    """One backbone for all sources, as in pretraining; otherwise one each."""
    season_days: int = Field(365, gt=0)
    """Length of the season, over which the lean decoder spreads its steps of an observed series."""
    tasks: dict[TaskName, Task] = Field(default_factory=dict)
    """What the model gives beside class scores, by names of one's own (docs/tasks.md)."""

    @model_validator(mode="before")
    @classmethod
    def reads_older_records(cls, content: Any) -> Any:
        return without_removed_options(content, {"gates": False, "feature_size": None, "out_size": None})

    @model_validator(mode="after")
    def fits_together(self) -> Self:
        names = [source.name for source in self.sources]
        if len(set(names)) < len(names):
            raise ValueError(f"sources are named {', '.join(names)}; give each a name of its own")
        used = {*self.neck_sources, *(name for level in self.neck_levels for name in level)}
        if unknown := sorted(used - set(names)):
            raise ValueError(f"the neck takes {', '.join(unknown)}, but the sources are {', '.join(names)}")
        if not 0 < len(self.neck_levels) <= 4:
            raise ValueError(f"neck_levels has {len(self.neck_levels)} levels; an encoder offers features for 1 to 4")
        if self.encoder.fusion == "cat" and (endless := [s.name for s in self.sources if s.frames is None]):
            raise ValueError(f"`cat` fusion needs the number of frames of {', '.join(endless)}; give `frames`")
        if self.lean is not None:
            if self.encoder.fusion != "mean":
                raise ValueError("the lean decoder goes with `mean` fusion")
            if endless := [source.name for source in self.sources if source.frames is None]:
                raise ValueError(f"the lean decoder needs the number of frames of {', '.join(endless)}; give `frames`")
        if "classes" in self.tasks:
            raise ValueError("the name `classes` is taken by the class scores that every model gives; rename the task")
        widths = {name: self.widths(name)[-1] for name in self.neck_sources}
        if len(set(widths.values())) > 1:
            raise ValueError(f"the sources that start the neck differ in channels: {widths}; adapt their `frames`")
        return self

    def source(self, name: str) -> Source:
        """The source of that name."""
        return next(source for source in self.sources if source.name == name)

    def time_steps(self, source: Source, frames: int) -> tuple[int, ...]:
        """Time steps per stage that multiply the channels of the feature maps: with `mean` fusion, one."""
        steps = self.encoder.time_steps(frames, source.patch[0])
        return steps if self.encoder.fusion == "cat" else (1, 1, 1, 1)

    def widths(self, name: str) -> tuple[int, ...]:
        """Channels of a source's features_list; its encoder_features have as many as the last."""
        source = self.source(name)
        steps = self.time_steps(source, source.frames or 1)
        return tuple(c * d for c, d in zip(self.encoder.widths(), steps, strict=True))


class AgriFM(nn.Module):
    """Encoders, neck and head."""

    def __init__(self, config: AgriFMConfig) -> None:
        super().__init__()
        self.config = config
        self.encoders = MultiSourceEncoder(
            {s.name: SwinEncoder(s.channels, s.patch, config.encoder, not config.shared) for s in config.sources},
            SwinBackbone(config.encoder) if config.shared else None,
        )
        if config.lean is not None:
            shapes = {source.name: _shape(source, config) for source in config.sources}
            self.decoder = LeanDecoder(shapes, config.classes, config.lean, config.season_days)
            width = config.lean.hidden
        else:
            entries = range(len(config.neck_levels))
            levels = [
                {name: config.widths(name)[entry] for name in names}
                for names, entry in zip(config.neck_levels, reversed(entries), strict=True)
            ]
            width = config.widths(config.neck_sources[0])[-1]
            self.neck = MultiFusionNeck(width, config.neck_sources, levels)
            self.heads = SegmentationHead(width, config.classes)
        self.tasks = TaskHeads(config.tasks, width)

    def forward(self, images: Images) -> Tensor:
        """Logits (B, classes, H, W) on the first source's pixels.

        Args:
            images: per source (B, T, C, H, W), normalised, where (B, C, H, W) is a series of one frame; or an
                `Observed` series; or None, where the source is absent. Every source covers the same ground. Entries
                that are no source of this model are ignored.

        Raises:
            ModelError: if a source is not mentioned, all are absent, or one does not fit the config.
        """
        if self.config.lean is None:
            scores: Tensor = self.heads.at_size(*self._fused(images))
            return scores
        logits: Tensor = self.decoder.head(self.features(images))
        return logits

    def tasks_of(self, images: Images, parcels: Tensor | None = None) -> dict[str, Tensor]:
        """The result of every task by its name, and class logits as `classes`, from one pass.

        Args:
            images: as in `forward`.
            parcels: (B, H, W) on the grid of the logits, number of the parcel at each pixel, -1 = none; left out, the
                result lacks the tasks per parcel.

        Raises:
            ModelError: as in `forward`, or if the parcels lie on another grid.
        """
        if self.config.lean is None:
            fused, size = self._fused(images)
            classes = self.heads.at_size(fused, size)
            features_BKHW = resize(fused, size) if self.config.tasks or parcels is not None else fused
        else:
            features_BKHW = self.features(images)
            classes = self.decoder.head(features_BKHW)
        others: dict[str, Tensor] = self.tasks(features_BKHW, parcels)
        return {"classes": classes, **others}

    def features(self, images: Images) -> Tensor:
        """What all heads read, (B, K, H, W) on the grid of the logits; arguments and errors are those of `forward`."""
        if self.config.lean is None:
            return resize(*self._fused(images))
        check_images(images, self.config)
        features = self.encoders(images)
        found: Tensor = self.decoder.features(features, images, target_size(images, self.config))
        return found

    def _fused(self, images: Images) -> tuple[Tensor, Size]:
        """What the neck makes of the images, and the size to which it is to be resized."""
        check_images(images, self.config)
        features = self.encoders(images)
        start, result = self.neck_sizes(features, target_size(images, self.config))
        fused: Tensor = self.neck(features, start)
        return fused, result

    def neck_sizes(self, features: Mapping[str, EncoderOutput], target: Size) -> tuple[Size, Size]:
        """Rows and columns at the start of the neck, and of the result, for a target grid of that size."""
        first = self.config.sources[0]
        if first.name not in features:
            return _coarsest(target, first), target
        rows, columns = features[first.name].encoder_features.shape[-2:]
        return (rows, columns), target


def _shape(source: Source, config: AgriFMConfig) -> SourceShape:
    _, rows, columns = source.patch
    coarsest_first = config.widths(source.name)[::-1]
    return SourceShape(source.channels, source.frames or 1, coarsest_first, source.pixel, (rows, columns))


def _coarsest(size: Size, source: Source) -> Size:
    """Rows and columns of the coarsest features of a source that is absent."""
    _, *sides = source.patch
    rows, columns = (-(-length // (8 * side * source.pixel)) for length, side in zip(size, sides, strict=True))
    return rows, columns


def target_size(images: Images, config: AgriFMConfig) -> Size:
    """Rows and columns of the target grid under the images: those of the finest source that is present."""
    finest, *others = [source for source in config.sources if images[source.name] is not None]
    for source in others:  # the compiler knows no `min` by key
        finest = source if source.pixel < finest.pixel else finest
    series = images[finest.name]
    assert series is not None
    height, width = image_of(series).shape[-2:]
    return height * finest.pixel, width * finest.pixel


def check_images(images: Images, config: AgriFMConfig) -> None:
    """Refuse images that the model cannot take, with a sentence that says why."""
    if torch.compiler.is_exporting():  # sizes are symbols then; who runs the exported graph checks its images
        return
    if missing := [s.name for s in config.sources if s.name not in images]:
        found = ", ".join(images) or "none"
        raise ModelError(
            f"the model needs images of {', '.join(missing)} (found: {found}); add them to the sample, or give None "
            "for a sensor that is absent"
        )
    present = {source.name: images[source.name] for source in config.sources if images[source.name] is not None}
    starting = config.neck_sources if config.lean is None else tuple(source.name for source in config.sources)
    if not set(starting) & set(present):
        raise ModelError(f"every one of {', '.join(starting)} is absent; give the images of at least one")
    arrays = {name: image_of(series) for name, series in present.items() if series is not None}
    samples = {name: len(image) for name, image in arrays.items()}
    if len(set(samples.values())) > 1:
        raise ModelError(f"the sources differ in samples per batch: {samples}; give every sample all its sources")
    for name, series in present.items():
        assert series is not None
        if isinstance(series, Observed):
            check_observed(series, config.source(name))
        check_series(image_of(series), config.source(name), config)
        if config.lean is not None and not isinstance(series, Observed):
            check_frames_of_lean(series, config.source(name))
    if config.lean is not None:
        check_ground(arrays, images, config)


def check_observed(series: Observed, source: Source) -> None:
    about = f"the observed series of {source.name}"
    if series.image.ndim != 5:
        raise ModelError(f"{about} has {series.image.ndim} axes; give (sample, frame, band, row, column)")
    B, T, C, H, W = series.image.shape
    if series.valid.shape != (B, T, H, W):
        raise ModelError(f"{about} has `valid` of shape {tuple(series.valid.shape)}, expected {(B, T, H, W)}")
    if series.day.shape not in ((B, T), (B, T, H, W)):
        raise ModelError(f"{about} has `day` of shape {tuple(series.day.shape)}, expected {(B, T)} or {(B, T, H, W)}")
    if series.first_day.shape != (B,):
        raise ModelError(f"{about} has `first_day` of shape {tuple(series.first_day.shape)}, expected {(B,)}")
    if series.absent is not None and series.absent.shape != (B, C):
        raise ModelError(f"{about} has `absent` of shape {tuple(series.absent.shape)}, expected {(B, C)}")


def check_series(image: Tensor, source: Source, config: AgriFMConfig) -> None:
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
            f"images of {source.name} have {frames} frames, but with `cat` fusion this model takes "
            f"{fitting[0]} to {fitting[-1]}; composite the season into as many periods, or use a preset with "
            "`mean` fusion, which takes any number"
        )


def check_ground(arrays: Mapping[str, Tensor], images: Images, config: AgriFMConfig) -> None:
    height, width = target_size(images, config)
    for name, image in arrays.items():
        pixel = config.source(name).pixel
        expected = (-(-height // pixel), -(-width // pixel))
        if image.shape[-2:] != expected:
            raise ModelError(
                f"images of {name} have {tuple(image.shape[-2:])} pixels, but {expected} of its pixels of {pixel} "
                f"target pixels cover the target's {(height, width)}; give every sensor the same ground"
            )


def check_frames_of_lean(image: Tensor, source: Source) -> None:
    frames = frames_of(image)
    if frames != source.frames:
        raise ModelError(
            f"images of {source.name} have {frames} frames, but the model reads {source.frames}; "
            "interpolate the season to as many steps, or give the observed series"
        )


PRESETS: dict[str, SwinConfig] = {
    # as released
    "base": SwinConfig(),
    # window: up to 48 frames attend to each other at once; 6 divides the token grids of 96 px samples at every stage
    "small": SwinConfig(
        embed_dim=48,
        depths=(2, 2, 6, 2),
        heads=(2, 4, 8, 16),
        window=(12, 6, 6),
        drop_path=0.1,
        fusion="mean",
    ),
    # window: the same for 48 px
    "tiny": SwinConfig(
        embed_dim=16,
        depths=(2, 2, 2, 2),
        heads=(1, 2, 4, 8),
        window=(12, 3, 3),
        drop_path=0.1,
        fusion="mean",
    ),
}
# `cat` fusion: the token grid starts with this many time steps, so 29 to 32 frames in patches of four
CAT_TIME_STEPS = 8
COARSE_PATCH: Triple = (4, 1, 1)
COARSE_SOURCES = ("landsat", "modis")


def preset(
    name: str,
    sources: Mapping[str, int],
    classes: int,
    patches: Mapping[str, Triple] | None = None,
    frames: int | None = None,
    season_days: int = 365,
) -> AgriFMConfig:
    """Config of a model of a known shape, with every source at every level of the neck.

    Args:
        name: `base` (as released), `small` or `tiny`.
        sources: bands per source; the first one's pixels are the target grid.
        classes: scores per pixel.
        patches: frames, rows and columns per token where not the usual (4, 2, 2); `landsat` and `modis` have
            coarse pixels, one token each: (4, 1, 1).
        frames: of every series. Where it is known, `small` and `tiny` have the lean decoder, tokens as large as it
            allows: (4, 4, 4), for `landsat` (4, 2, 2), and one backbone for all sources.
        season_days: length of the season that the frames divide.
    """
    if name not in PRESETS:
        raise ModelError(f"there is no preset {name!r}; choose one of {', '.join(PRESETS)}")
    if strangers := sorted(set(patches or {}) - set(sources)):
        raise ModelError(f"patches are given for {', '.join(strangers)}, not among the sources {', '.join(sources)}")
    lean = LEAN if frames is not None and name != "base" else None
    encoder = PRESETS[name].model_copy(update={"attended_skips": lean is not None})
    usual = {source: _usual_patch(source, lean is not None) for source in sources}
    patch = {**usual, **(patches or {})}
    cat = encoder.fusion == "cat"
    return AgriFMConfig(
        sources=tuple(
            Source(
                name=source,
                channels=channels,
                patch=patch[source],
                frames=CAT_TIME_STEPS * patch[source][0] if cat else frames,
                pixel=_usual_pixel(source, next(iter(sources))),
            )
            for source, channels in sources.items()
        ),
        classes=classes,
        encoder=encoder,
        neck_sources=tuple(sources),
        neck_levels=(tuple(sources),) * 3,
        lean=lean,
        shared=lean is not None,
        season_days=season_days,
    )


def _usual_patch(source: str, lean: bool) -> Triple:
    if source in COARSE_SOURCES:
        return (4, 2, 2) if lean and source == "landsat" else COARSE_PATCH
    return (4, 4, 4) if lean else (4, 2, 2)


def _usual_pixel(source: str, target: str) -> int:
    """Target pixels along a pixel of a known sensor; 1 for sources of one's own."""
    if source not in SENSORS or target not in SENSORS:
        return 1
    return max(1, round(SENSORS[source].resolution / SENSORS[target].resolution))
