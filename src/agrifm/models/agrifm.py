"""AgriFM: a series of images per source in, class scores per pixel of the first source out.

Shape letters: B samples, T frames, C channels (bands), H W rows and columns.
Parameter and buffer names are those of the public AgriFM code (github.com/flyakon/AgriFM, commit 13f476e), and with
equal weights the numbers are too.
"""

from collections.abc import Mapping
from typing import Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from agrifm.errors import ModelError
from agrifm.models.attention import Triple
from agrifm.models.fusion import MultiFusionNeck, MultiSourceEncoder, Size
from agrifm.models.heads import SegmentationHead
from agrifm.models.lean import LeanConfig, LeanDecoder
from agrifm.models.swin3d import Config, SwinConfig, SwinEncoder


class Source(Config):
    """One kind of image series that a model takes."""

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")
    """Key of the images, and part of the parameter names."""
    channels: int = Field(gt=0)
    """Bands, in the order of the model's record."""
    patch: Triple = (4, 2, 2)
    """Frames, rows and columns that become one token."""
    frames: int | None = Field(None, gt=0)
    """Length of the series; needed with `cat` fusion, where it decides the channels of the neck, and with `lean`."""


class AgriFMConfig(Config):
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
    feature_size: Size | None = None
    """Rows and columns at the start of the neck; left out, those of the first source's coarsest features."""
    out_size: Size | None = None
    """Rows and columns of the result; left out, those of the first source's images."""
    lean: LeanConfig | None = None
    """The lean decoder in place of neck and head; it takes every source at every level, `mean` fusion only."""

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
            if self.encoder.fusion != "mean" or self.feature_size or self.out_size:
                raise ValueError("the lean decoder goes with `mean` fusion and the sizes of the images")
            if endless := [source.name for source in self.sources if source.frames is None]:
                raise ValueError(f"the lean decoder needs the number of frames of {', '.join(endless)}; give `frames`")
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
            {s.name: SwinEncoder(s.channels, s.patch, config.encoder) for s in config.sources}
        )
        if config.lean is not None:
            names = [source.name for source in config.sources]
            coarsest_first = [{name: config.widths(name)[entry] for name in names} for entry in (3, 2, 1, 0)]
            series = {source.name: source.channels * (source.frames or 1) for source in config.sources}
            self.decoder = LeanDecoder(coarsest_first, series, config.classes, config.lean)
            return
        entries = range(len(config.neck_levels))
        levels = [
            {name: config.widths(name)[entry] for name in names}
            for names, entry in zip(config.neck_levels, reversed(entries), strict=True)
        ]
        width = config.widths(config.neck_sources[0])[-1]
        self.neck = MultiFusionNeck(width, config.neck_sources, levels)
        self.heads = SegmentationHead(width, config.classes)

    def forward(self, images: Mapping[str, Tensor]) -> Tensor:
        """Logits (B, classes, H, W) on the first source's pixels, unless the config fixes the size.

        Args:
            images: per source (B, T, C, H, W), normalised; (B, C, H, W) is a series of one frame. Every source
                covers the same ground. Entries that are no source of this model are ignored.

        Raises:
            ModelError: if a source is missing or does not fit the config.
        """
        check_images(images, self.config)
        target = self.config.sources[0].name
        features = self.encoders(images)
        if self.config.lean is not None:
            scores: Tensor = self.decoder(features, images)
            return scores
        feature_size = self.config.feature_size or features[target].encoder_features.shape[-2:]
        out_size = self.config.out_size or images[target].shape[-2:]
        logits: Tensor = self.heads(self.neck(features, feature_size, out_size))
        return logits


def check_images(images: Mapping[str, Tensor], config: AgriFMConfig) -> None:
    """Refuse images that the model cannot take, with a sentence that says why."""
    if missing := [s.name for s in config.sources if s.name not in images]:
        found = ", ".join(images) or "none"
        raise ModelError(f"the model needs images of {', '.join(missing)} (found: {found}); add them to the sample")
    samples = {s.name: len(images[s.name]) for s in config.sources}
    if len(set(samples.values())) > 1:
        raise ModelError(f"the sources differ in samples per batch: {samples}; give every sample all its sources")
    for source in config.sources:
        check_series(images[source.name], source, config)


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
    frames = image.shape[1] if image.ndim == 5 else 1
    if 0 in image.shape:
        raise ModelError(f"images of {source.name} are empty, shape {tuple(image.shape)}; give at least one pixel")
    if config.lean is not None and frames != source.frames:
        raise ModelError(
            f"images of {source.name} have {frames} frames, but the model reads {source.frames}; "
            "interpolate the season to as many steps"
        )
    # the channels of `cat` features grow with time, and the neck's convolutions have a fixed number of channels
    expected = config.time_steps(source, source.frames or 1)
    if config.time_steps(source, frames) != expected:
        longest = source.patch[0] * expected[0]
        fitting = [t for t in range(1, longest + 1) if config.time_steps(source, t) == expected]
        raise ModelError(
            f"images of {source.name} have {frames} frames, but with `cat` fusion this model takes "
            f"{fitting[0]} to {fitting[-1]}; composite the season into as many periods, "
            "or use a preset with `mean` fusion, which takes any number"
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
) -> AgriFMConfig:
    """Config of a model of a known shape, with every source at every level of the neck.

    Args:
        name: `base` (as released), `small` or `tiny`.
        sources: bands per source; the first one's pixels are the target grid.
        classes: scores per pixel.
        patches: frames, rows and columns per token where not the usual (4, 2, 2); `landsat` and `modis` have
            coarse pixels, one token each: (4, 1, 1).
        frames: of every series. Where it is known, `small` and `tiny` have the lean decoder, and tokens as large as
            it allows: (4, 4, 4), for `landsat` (4, 2, 2).
    """
    if name not in PRESETS:
        raise ModelError(f"there is no preset {name!r}; choose one of {', '.join(PRESETS)}")
    if strangers := sorted(set(patches or {}) - set(sources)):
        raise ModelError(f"patches are given for {', '.join(strangers)}, not among the sources {', '.join(sources)}")
    lean = LeanConfig() if frames is not None and name != "base" else None
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
            )
            for source, channels in sources.items()
        ),
        classes=classes,
        encoder=encoder,
        neck_sources=tuple(sources),
        neck_levels=(tuple(sources),) * 3,
        lean=lean,
    )


def _usual_patch(source: str, lean: bool) -> Triple:
    if source in COARSE_SOURCES:
        return (4, 2, 2) if lean and source == "landsat" else COARSE_PATCH
    return (4, 4, 4) if lean else (4, 2, 2)
