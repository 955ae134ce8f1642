"""The encoder of one source: Video Swin with synchronised temporal down-sampling.

Every stage but the last halves rows and columns and merges frames, so that time and space coarsen together.

Shape letters: B samples, T frames, C channels, D H W the token grid (time steps, rows, columns). Between layers the
channels come last. Facts and names follow the public AgriFM code, and so do these habits, which its trained weights
depend on: frames and pixels of zeros added to fill a patch, a window or a merge count like data; padding of windows
comes after the normalisation and is attended; the finest feature map is the patch embedding before any attention.
"""

from typing import Literal, NamedTuple, Self

from einops import rearrange
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from agrifm.models.attention import (
    Triple,
    WindowAttention,
    clamp_window,
    cut_windows,
    paste_windows,
    shift_mask,
)


class Config(BaseModel):
    """Immutable, unknown keys refused, goes to JSON and back."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class SwinConfig(Config):
    """Shape of the encoder; all sources of a model share it, none shares weights. The defaults are AgriFM's."""

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
    mean_frame_down: bool = True
    """Merge time steps by their mean; otherwise keep the first and drop the others."""
    drop_path: float = Field(0.2, ge=0, lt=1)
    """Stochastic depth of the last block; it grows linearly from 0 over all blocks."""
    fusion: Literal["cat", "mean"] = "cat"
    """How a feature map loses its time axis: time steps side by side on channels, or their mean."""
    attended_skips: bool = False
    """Finer feature maps are those that leave a stage's attention; otherwise those that enter it, as released."""

    @model_validator(mode="after")
    def heads_divide_channels(self) -> Self:
        for width, heads in zip(self.widths(), self.heads, strict=True):
            if width % heads:
                raise ValueError(f"{width} channels cannot be shared by {heads} heads; make heads a divisor")
        return self

    def widths(self) -> tuple[int, int, int, int]:
        """Channels per stage, before the time axis is fused."""
        e = self.embed_dim
        return e, 2 * e, 4 * e, 8 * e

    def time_steps(self, frames: int, patch_frames: int) -> tuple[int, int, int, int]:
        """Time steps of the token grid per stage, for a series of `frames` in patches of `patch_frames`."""
        steps = [-(-frames // patch_frames)]
        for merged in self.downsample_steps:
            steps.append(-(-steps[-1] // merged))
        return steps[0], steps[1], steps[2], steps[3]


class EncoderOutput(NamedTuple):
    """Feature maps (B, C, H, W) of one source."""

    features_list: list[Tensor]
    """What enters stages 0 to 3, or with `attended_skips` what leaves their attention; none is normalised."""
    encoder_features: Tensor
    """Stage 3 after the final normalisation."""


def pad_end(x_BDHWC: Tensor, multiple: Triple) -> Tensor:
    """Zeros at the end of time, rows and columns, up to multiples."""
    d, h, w = (-size % side for size, side in zip(x_BDHWC.shape[1:4], multiple, strict=True))
    return functional.pad(x_BDHWC, (0, 0, 0, w, 0, h, 0, d)) if d or h or w else x_BDHWC


def grid_of(x_BDHWC: Tensor) -> Triple:
    _, D, H, W, _ = x_BDHWC.shape
    return D, H, W


class PatchEmbedding(nn.Module):
    """One token per patch of frames, rows and columns."""

    def __init__(self, channels: int, dim: int, patch: Triple) -> None:
        super().__init__()
        self.patch = patch
        self.proj = nn.Conv3d(channels, dim, kernel_size=patch, stride=patch)

    def forward(self, image_BTCHW: Tensor) -> Tensor:
        """Tokens (B, D, H, W, C); an image without a time axis (B, C, H, W) is a series of one frame."""
        series = image_BTCHW if image_BTCHW.ndim == 5 else image_BTCHW.unsqueeze(1)
        padded_BTHWC = pad_end(rearrange(series, "b t c h w -> b t h w c"), self.patch)
        tokens_BCDHW: Tensor = self.proj(rearrange(padded_BTHWC, "b t h w c -> b c t h w"))
        return rearrange(tokens_BCDHW, "b c d h w -> b d h w c")


class DropPath(nn.Module):
    """Stochastic depth: in training, drop a sample's branch with probability `rate` and scale the kept ones."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x_BDHWC: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x_BDHWC
        keep = 1 - self.rate
        kept_B1111 = x_BDHWC.new_empty((len(x_BDHWC), 1, 1, 1, 1)).bernoulli_(keep)
        return x_BDHWC * kept_B1111 / keep


class MLP(nn.Module):
    """Two linear layers with GELU between."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return out


class SwinBlock(nn.Module):
    """Window attention and a perceptron, each normalised before and added to its input."""

    def __init__(self, dim: int, heads: int, window: Triple, shift: Triple, mlp_ratio: float, drop_path: float) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, heads, window)
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = MLP(dim, int(dim * mlp_ratio))

    def attend(self, x_BDHWC: Tensor, mask_MNN: Tensor | None) -> Tensor:
        """Attention inside (shifted) windows, back on the grid."""
        D, H, W = grid_of(x_BDHWC)
        window, shift = clamp_window((D, H, W), self.window, self.shift)
        padded = pad_end(x_BDHWC, window)
        shifted = any(shift)
        rolled = padded.roll([-step for step in shift], dims=(1, 2, 3)) if shifted else padded
        attended = self.attn(cut_windows(rolled, window), mask_MNN if shifted else None)
        pasted = paste_windows(attended, window, grid_of(padded))
        back = pasted.roll(shift, dims=(1, 2, 3)) if shifted else pasted
        return back[:, :D, :H, :W]

    def forward(self, x_BDHWC: Tensor, mask_MNN: Tensor | None) -> Tensor:
        x = x_BDHWC + self.drop_path(self.attend(self.norm1(x_BDHWC), mask_MNN))
        out: Tensor = x + self.drop_path(self.mlp(self.norm2(x)))
        return out


class PatchMerging(nn.Module):
    """Four neighbouring tokens, averaged over `step` time steps, become one token of twice the channels."""

    def __init__(self, dim: int, step: int, mean: bool) -> None:
        super().__init__()
        self.step, self.mean = step, mean
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x_BDHWC: Tensor) -> Tensor:
        if self.mean:
            padded = pad_end(x_BDHWC, (self.step, 2, 2))
            merged = rearrange(padded, "b (d s) h w c -> b d s h w c", s=self.step).mean(dim=2)
        else:
            merged = pad_end(x_BDHWC[:, :: self.step], (1, 2, 2))
        # columns outermost: (row, column) phases come as (0, 0), (1, 0), (0, 1), (1, 1)
        phases = rearrange(merged, "b d (h p) (w q) c -> b d h w (q p c)", p=2, q=2)
        out: Tensor = self.reduction(self.norm(phases))
        return out


class Stage(nn.Module):
    """Blocks on one token grid, every second one on shifted windows, then a merge where a stage follows."""

    def __init__(self, config: SwinConfig, index: int) -> None:
        super().__init__()
        dim, heads = config.widths()[index], config.heads[index]
        before, blocks = sum(config.depths[:index]), sum(config.depths)
        self.window = config.window
        d, h, w = config.window
        self.shift = (d // 2, h // 2, w // 2)
        self.blocks = nn.ModuleList(
            SwinBlock(
                dim,
                heads,
                config.window,
                self.shift if i % 2 else (0, 0, 0),
                config.mlp_ratio,
                config.drop_path * (before + i) / max(blocks - 1, 1),
            )
            for i in range(config.depths[index])
        )
        self.downsample = (
            PatchMerging(dim, config.downsample_steps[index], config.mean_frame_down) if index < 3 else None
        )

    def forward(self, x_BDHWC: Tensor) -> tuple[Tensor, Tensor]:
        """The grid after the blocks, and the same merged for the stage that follows."""
        window, shift = clamp_window(grid_of(x_BDHWC), self.window, self.shift)
        D, H, W = (size + -size % side for size, side in zip(grid_of(x_BDHWC), window, strict=True))
        mask_MNN = shift_mask((D, H, W), window, shift, x_BDHWC.device) if any(shift) else None
        for block in self.blocks:
            x_BDHWC = block(x_BDHWC, mask_MNN)
        return x_BDHWC, x_BDHWC if self.downsample is None else self.downsample(x_BDHWC)


class SwinBackbone(nn.Module):
    """Four stages and a last normalisation."""

    def __init__(self, config: SwinConfig) -> None:
        super().__init__()
        self.fusion, self.attended_skips = config.fusion, config.attended_skips
        self.layers = nn.ModuleList(Stage(config, index) for index in range(4))
        self.norm = nn.LayerNorm(config.widths()[-1])

    def fuse(self, x_BDHWC: Tensor) -> Tensor:
        """Without the time axis, (B, C, H, W); `cat` has the time steps of a channel side by side."""
        if self.fusion == "cat":
            return rearrange(x_BDHWC, "b d h w c -> b (c d) h w")
        return rearrange(x_BDHWC.mean(dim=1), "b h w c -> b c h w")

    def forward(self, tokens_BDHWC: Tensor) -> EncoderOutput:
        entering, leaving = [tokens_BDHWC], []
        for stage in self.layers:
            attended, merged = stage(entering[-1])
            leaving.append(attended)
            entering.append(merged)
        finer = leaving if self.attended_skips else entering[:-1]
        return EncoderOutput([self.fuse(x) for x in finer], self.fuse(self.norm(leaving[-1])))


class SwinEncoder(nn.Module):
    """From a series of images of one source to feature maps."""

    def __init__(self, channels: int, patch: Triple, config: SwinConfig) -> None:
        super().__init__()
        self.patch_emd = PatchEmbedding(channels, config.embed_dim, patch)
        self.backbone = SwinBackbone(config)

    def forward(self, image_BTCHW: Tensor) -> EncoderOutput:
        features: EncoderOutput = self.backbone(self.patch_emd(image_BTCHW))
        return features
