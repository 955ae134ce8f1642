"""The encoder of one source: Video Swin that merges frames and pixels at the same time.

Every stage but the last halves rows and columns and merges frames, so that time and space coarsen together
("synchronised temporal down-sampling" of the AgriFM paper).

Shape letters: B samples, T frames, C channels, D H W the token grid (time steps, rows, columns). Between layers the
channels come last. Facts and names follow the public AgriFM code, and so do these habits, which its trained weights
depend on: frames and pixels of zeros that fill a patch, a window or a merge count like data; windows are padded after
the normalisation, and the padding is attended; the finest feature map is the patch embedding before any attention.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Self

import torch
from einops import rearrange
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from agrifm.models.agrifm.attention import EMPTY_TOKEN_MASK
from agrifm.models.agrifm.blocks import PatchMerging, SwinBlock, time_weights
from agrifm.models.agrifm.timeseries import Images, ObservationEmbedding, ObservedSeries, Tokens, valid_shares
from agrifm.models.agrifm.window_partition import Triple, clamp_window, plan_windows
from agrifm.validation import Frozen

MAX_TOKENS_AT_ONCE = 8192
"""Tokens that a block processes at once if no gradients are needed: about what the processor's cache holds."""


def without_removed_options(content: Any, neutral: Mapping[str, object]) -> Any:
    """Return the content of a saved config without options that no longer exist.

    Args:
        neutral: the removed options, each with the value that means the network of today.

    Raises:
        ValueError: an option has another value, so this version cannot build the network.
    """
    if not isinstance(content, Mapping):
        return content
    for name, value in neutral.items():
        if content.get(name, value) != value:
            raise ValueError(
                f"the option `{name}` (here {content[name]!r}) was removed; train the model again without it"
            )
    return {name: value for name, value in content.items() if name not in neutral}


class SwinConfig(Frozen):
    """Shape of the encoder, the same for all sources of a model. The defaults are those of the released weights."""

    embed_dim: int = Field(128, gt=0)
    """Channels of stage 0; each stage has twice the channels of the one before."""
    depths: tuple[int, int, int, int] = (2, 2, 18, 2)
    """Blocks per stage; every second one works on shifted windows."""
    heads: tuple[int, int, int, int] = (4, 8, 16, 32)
    """Attention heads per stage."""
    window: Triple = (8, 7, 7)
    """Attention window in tokens: time steps, rows, columns."""
    mlp_ratio: float = Field(4.0, gt=0)
    """Hidden channels of a block's perceptron per channel."""
    downsample_steps: Triple = (2, 2, 2)
    """Time steps merged into one after stages 0, 1, 2."""
    drop_path: float = Field(0.2, ge=0, lt=1)
    """Stochastic depth of the last block; it grows linearly from 0 over all blocks."""
    fusion: Literal["cat", "mean"] = "cat"
    """How a feature map loses its time axis: time steps stacked as channels, or their mean."""
    attended_skips: bool = False
    """Finer feature maps are taken after the attention of a stage; otherwise before it, as released."""
    dates: bool = False
    """Tokens of an observed series are modulated by their dates."""
    validity: bool = False
    """Tokens of an observed series are modulated by their share of usable pixels; attention masks empty ones."""

    @model_validator(mode="before")
    @classmethod
    def read_older_records(cls, content: Any) -> Any:
        """Accept records of models that were saved when there were more options."""
        neutral = {"mean_frame_down": True, "positions": "reference", "resample_time": False}
        return without_removed_options(content, neutral)

    @model_validator(mode="after")
    def check_heads(self) -> Self:
        for width, heads in zip(self.widths(), self.heads, strict=True):
            if width % heads:
                raise ValueError(f"{width} channels cannot be divided among {heads} heads; make `heads` a divisor")
        return self

    def widths(self) -> tuple[int, int, int, int]:
        """Channels per stage, before the time axis is fused."""
        e = self.embed_dim
        return e, 2 * e, 4 * e, 8 * e

    def time_steps(self, frames: int, patch_frames: int) -> tuple[int, int, int, int]:
        """Time steps of the token grid per stage, for a series of `frames` in patches of `patch_frames`."""
        # rounded up: zeros fill the last patch and the last merge
        steps = [-(-frames // patch_frames)]
        for merged in self.downsample_steps:
            steps.append(-(-steps[-1] // merged))
        return steps[0], steps[1], steps[2], steps[3]


class EncoderOutput(NamedTuple):
    """Feature maps (B, C, H, W) of one source."""

    features_list: list[Tensor]
    """The input of stages 0 to 3, or with `attended_skips` the output of their attention; not normalised."""
    encoder_features: Tensor
    """Stage 3 after the final normalisation."""


def grid_of(x_BDHWC: Tensor) -> Triple:
    """Time steps, rows and columns of a token grid."""
    _, D, H, W, _ = x_BDHWC.shape
    return D, H, W


class PatchEmbedding(nn.Module):
    """One token per patch of frames, rows and columns."""

    def __init__(self, channels: int, dim: int, patch: Triple, dates: bool = False, validity: bool = False) -> None:
        super().__init__()
        self.patch, self.validity = patch, validity
        self.proj = nn.Conv3d(channels, dim, kernel_size=patch, stride=patch)
        self.code = ObservationEmbedding(channels, dim, patch, dates, validity) if dates or validity else None

    def forward(self, series: Tensor | ObservedSeries) -> Tokens:
        """Tokens (B, D, H, W, C) of images (B, T, C, H, W); an image without a time axis is a series of one frame."""
        if not isinstance(series, ObservedSeries):
            return Tokens(self._project(series if series.ndim == 5 else series.unsqueeze(1)), None)
        by_frame, share = valid_shares(series, self.patch)
        # `filled`: invalid pixels are the mean here, so that their content cannot reach a token
        x_BDHWC = self._project(series.filled)
        if self.code is not None:
            x_BDHWC = x_BDHWC + self.code(x_BDHWC, series, by_frame)
        return Tokens(x_BDHWC, share if self.validity else None)

    def _project(self, image_BTCHW: Tensor) -> Tensor:
        """Apply the convolution over time, rows and columns as one over rows and columns alone.

        The frames of a patch do not overlap with those of the next one, so they can be channels of a 2-D convolution,
        which PyTorch computes faster and without a copy of the images.
        """
        p, h, w = self.patch
        T, _, H, W = image_BTCHW.shape[1:]
        # zeros fill the last patch and count like data, as in the released model
        end = (0, -W % w, 0, -H % h, 0, 0, 0, -T % p)
        whole = functional.pad(image_BTCHW, end) if any(end) else image_BTCHW
        # a 2-D image per time step, with the bands of all its frames as channels
        frames = rearrange(whole, "b (d p) c h w -> (b d) (p c) h w", p=p)
        kernel = rearrange(self.proj.weight, "e c p h w -> e (p c) h w")
        tokens = functional.conv2d(frames, kernel, self.proj.bias, stride=(h, w))
        return rearrange(tokens, "(b d) c h w -> b d h w c", b=image_BTCHW.shape[0])


class Stage(nn.Module):
    """Blocks on one token grid, every second one on shifted windows; then merging, except in the last stage."""

    def __init__(self, config: SwinConfig, index: int) -> None:
        super().__init__()
        dim, heads = config.widths()[index], config.heads[index]
        before, blocks = sum(config.depths[:index]), sum(config.depths)
        self.window = config.window
        d, h, w = config.window
        self.shift = (d // 2, h // 2, w // 2)
        # set by agrifm.models.precision: compute the blocks again in the backward pass, to save memory
        self.recompute = False
        self.blocks = nn.ModuleList(
            SwinBlock(
                dim,
                heads,
                config.window,
                # windows do not overlap: shifting every second block lets their borders exchange information
                self.shift if i % 2 else (0, 0, 0),
                config.mlp_ratio,
                # later blocks are dropped more often (stochastic depth, Huang et al. 2016)
                config.drop_path * (before + i) / max(blocks - 1, 1),
            )
            for i in range(config.depths[index])
        )
        self.downsample = PatchMerging(dim, config.downsample_steps[index]) if index < 3 else None

    def forward(self, tokens: Tokens) -> tuple[Tokens, Tokens]:
        """Return the tokens after the blocks, and the same merged for the next stage."""
        x_BDHWC, share = tokens
        # without gradients blocks change their tokens in place, but the input of a stage is also a feature map: copy it
        learning = torch.is_grad_enabled()
        x_BDHWC = x_BDHWC.contiguous() if learning else x_BDHWC.clone(memory_format=torch.contiguous_format)
        # one number per token of the batch, in the order of the plan's token numbers
        empty = None if share is None else (share == 0).to(x_BDHWC.dtype).flatten() * EMPTY_TOKEN_MASK
        for block in self.blocks:
            assert isinstance(block, SwinBlock)
            window, shift = clamp_window(grid_of(x_BDHWC), block.window, block.shift)
            # chunks stay in the processor's cache; with gradients, a block needs all windows in one
            longest = None if learning else MAX_TOKENS_AT_ONCE
            plan = plan_windows(grid_of(x_BDHWC), window, shift, len(x_BDHWC), longest, x_BDHWC.device)
            if learning and self.recompute:
                x_BDHWC = checkpoint(block, x_BDHWC, window, plan, empty, use_reentrant=False)
            else:
                x_BDHWC = block(x_BDHWC, window, plan, empty)
        attended = Tokens(x_BDHWC, share)
        return attended, attended if self.downsample is None else self.downsample(attended)


class SwinBackbone(nn.Module):
    """Four stages and a final normalisation."""

    def __init__(self, config: SwinConfig) -> None:
        super().__init__()
        self.fusion, self.attended_skips = config.fusion, config.attended_skips
        self.layers = nn.ModuleList(Stage(config, index) for index in range(4))
        self.norm = nn.LayerNorm(config.widths()[-1])

    def fuse(self, tokens: Tokens) -> Tensor:
        """Remove the time axis, to (B, C, H, W); with `cat` the time steps of one channel are adjacent."""
        x_BDHWC, share = tokens
        if self.fusion == "cat":
            return rearrange(x_BDHWC, "b d h w c -> b (c d) h w")
        if share is not None:
            # empty time steps hold no observation and must not pull the mean
            weight, _ = time_weights(share, share.shape[1])
            x_BDHWC = x_BDHWC * weight[..., None]
        return rearrange(x_BDHWC.mean(dim=1), "b h w c -> b c h w")

    def forward(self, tokens: Tokens) -> EncoderOutput:
        entering, leaving = [tokens], []
        for stage in self.layers:
            attended, merged = stage(entering[-1])
            leaving.append(attended)
            entering.append(merged)
        # the released neck reads the input of each stage, so its finest map has seen no attention at all
        finer = leaving if self.attended_skips else entering[:-1]
        x_BDHWC, share = leaving[-1]
        return EncoderOutput([self.fuse(level) for level in finer], self.fuse(Tokens(self.norm(x_BDHWC), share)))


class SwinEncoder(nn.Module):
    """Encode the series of one source to feature maps; several sources may share one backbone."""

    def __init__(self, channels: int, patch: Triple, config: SwinConfig, own_backbone: bool = True) -> None:
        super().__init__()
        self.patch_emd = PatchEmbedding(channels, config.embed_dim, patch, config.dates, config.validity)
        self.backbone = SwinBackbone(config) if own_backbone else None

    def forward(self, series: Tensor | ObservedSeries, shared: SwinBackbone | None = None) -> EncoderOutput:
        """Features of images (B, T, C, H, W), or of an observed series."""
        backbone = self.backbone if shared is None else shared
        assert backbone is not None, "an encoder without a backbone needs the shared one"
        features: EncoderOutput = backbone(self.patch_emd(series))
        return features


class MultiSourceEncoder(nn.Module):
    """One encoder per source; each has a backbone, or all share one."""

    def __init__(self, encoders: Mapping[str, SwinEncoder], backbone: SwinBackbone | None = None) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.backbone = backbone

    def forward(self, images: Images) -> dict[str, EncoderOutput]:
        """Encode each source that is present; other entries of `images` are ignored."""
        present = {source: encoder for source, encoder in self.encoders.items() if images[source] is not None}
        return {source: encoder(images[source], self.backbone) for source, encoder in present.items()}
