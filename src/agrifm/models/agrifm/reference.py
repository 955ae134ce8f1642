"""The reference implementation: the network as the public AgriFM code computes it, step by step and window by window.

The fast implementation is compared with it, in numbers by tests and in seconds by benchmarks. Exported networks use it
too, because its windows are cut by shapes alone. Padding is attended token by token, every window has its own mask, and
softmax(Q K^T + bias + mask) V is spelled out. Options of the public code that this package does not offer come last.

Shape letters: B samples, M windows per sample, N tokens per window, C channels, A heads, K channels per head,
D H W the token grid (time steps, rows, columns).
"""

from collections.abc import Mapping
from typing import TypeVar

import torch
from einops import rearrange
from torch import Tensor, nn

from agrifm.models.agrifm.attention import EMPTY_TOKEN_MASK, SHIFT_MASK, SHIFT_MASK_FACTOR, WindowAttention
from agrifm.models.agrifm.blocks import PatchMerging, SwinBlock, time_weights
from agrifm.models.agrifm.neck import SegmentationHead, resize
from agrifm.models.agrifm.network import AgriFM, AgriFMConfig
from agrifm.models.agrifm.swin3d import EncoderOutput, PatchEmbedding, Stage
from agrifm.models.agrifm.timeseries import Tokens, mean_of_pixels
from agrifm.models.agrifm.window_partition import Size, Triple, clamp_window, cut_windows, pad_end, shift_regions

NetworkType = TypeVar("NetworkType", bound=nn.Module)


def use_reference(network: NetworkType) -> NetworkType:
    """Switch the network to the reference implementation, in place; parameters and buffers are kept."""
    for module in network.modules():
        for implementation in (ReferencePatchEmbedding, ReferenceStage, ReferenceMerging, ReferenceHead):
            # changing the class keeps parameters, buffers and hooks in place
            if type(module) is implementation.__base__:
                module.__class__ = implementation
    return network


def paste_windows(x_BMNC: Tensor, window: Triple, grid: Triple) -> Tensor:
    """Invert `cut_windows`: return the grid (B, D, H, W, C)."""
    (d, h, w), (D, H, W) = window, grid
    return rearrange(
        x_BMNC,
        "(b nd nh nw) (d h w) c -> b (nd d) (nh h) (nw w) c",
        nd=D // d,
        nh=H // h,
        nw=W // w,
        d=d,
        h=h,
        w=w,
    )


def shift_mask(grid: Triple, window: Triple, shift: Triple, device: torch.device) -> Tensor:
    """Mask added to the logits of shifted windows, (M, N, N) float32: 0, or -100 between separate regions.

    Args:
        grid: the padded grid, multiples of `window`.
        window: the clamped window.
        shift: the clamped shift.
        device: where the mask is needed.
    """
    region_MN = shift_regions(grid, window, shift).to(device)
    return (region_MN[:, :, None] != region_MN[:, None, :]).float() * SHIFT_MASK


def empty_token_mask(share_BDHW: Tensor, window: Triple, shift: Triple) -> Tensor:
    """Mask added to the logits of the tokens of (shifted) windows, (B M) N: 0, or -100 for empty tokens.

    The padding of windows is not masked, as in the released model.
    """
    empty = pad_end((share_BDHW == 0).to(share_BDHW.dtype)[..., None], window)
    rolled = empty.roll([-step for step in shift], dims=(1, 2, 3)) if any(shift) else empty
    return cut_windows(rolled, window).squeeze(-1) * EMPTY_TOKEN_MASK


def reference_attention(
    attention: WindowAttention, x_BMNC: Tensor, window: Triple, mask_MNN: Tensor | None, key_BMN: Tensor | None
) -> Tensor:
    """Compute softmax(Q K^T / sqrt(K) + bias + mask) V and its projection, (B M) N C.

    Args:
        attention: its parameters.
        x_BMNC: (B M) N C, the windows of a sample together.
        window: the clamped window; N tokens.
        mask_MNN: see `shift_mask`; the same for every sample.
        key_BMN: (B M) N, see `empty_token_mask`; added to the logits of every query for these keys.
    """
    q, k, v = rearrange(attention.qkv(x_BMNC), "m n (three a k) -> three m a n k", three=3, a=attention.heads)
    logits = (q * attention.scale) @ k.transpose(-2, -1)
    # every window of the layer has the same biases; masks differ between windows, but not between samples
    logits = logits + attention.position_bias(window)
    if mask_MNN is not None:
        by_sample = rearrange(logits, "(b m) a n o -> b m a n o", m=len(mask_MNN))
        logits = rearrange(by_sample + mask_MNN[:, None], "b m a n o -> (b m) a n o")
    if key_BMN is not None:
        logits = logits + key_BMN[:, None, None]
    mixed = rearrange(logits.softmax(dim=-1) @ v, "m a n k -> m n (a k)")
    projected: Tensor = attention.proj(mixed)
    return projected


def reference_block(block: SwinBlock, x_BDHWC: Tensor, mask_MNN: Tensor | None, share_BDHW: Tensor | None) -> Tensor:
    """Pad, roll, cut into windows, attend, paste, roll back, crop; then the perceptron."""
    _, D, H, W, _ = x_BDHWC.shape
    window, shift = clamp_window((D, H, W), block.window, block.shift)
    # the normalisation comes first, so padding stays zero
    padded = pad_end(block.norm1(x_BDHWC), window)
    rolled = padded.roll([-step for step in shift], dims=(1, 2, 3)) if any(shift) else padded
    key_BMN = None if share_BDHW is None else empty_token_mask(share_BDHW, window, shift)
    attended = reference_attention(
        block.attn, cut_windows(rolled, window), window, mask_MNN if any(shift) else None, key_BMN
    )
    pasted = paste_windows(attended, window, _grid(padded))
    back = pasted.roll(shift, dims=(1, 2, 3)) if any(shift) else pasted
    # the crop removes the padding that was attended
    x_BDHWC = x_BDHWC + block.drop_path(back[:, :D, :H, :W])
    out: Tensor = x_BDHWC + block.drop_path(block.mlp(block.norm2(x_BDHWC)))
    return out


def _grid(x_BDHWC: Tensor) -> Triple:
    _, D, H, W, _ = x_BDHWC.shape
    return D, H, W


class ReferenceStage(Stage):
    """Blocks one after another; all shifted ones share the masks of the windows."""

    def forward(self, tokens: Tokens) -> tuple[Tokens, Tokens]:
        x_BDHWC, share = tokens
        window, shift = clamp_window(_grid(x_BDHWC), self.window, self.shift)
        D, H, W = (size + -size % side for size, side in zip(_grid(x_BDHWC), window, strict=True))
        mask_MNN = shift_mask((D, H, W), window, shift, x_BDHWC.device) if any(shift) else None
        # series with empty tokens need a stronger mask (see SHIFT_MASK_FACTOR)
        if mask_MNN is not None and share is not None:
            mask_MNN = mask_MNN * SHIFT_MASK_FACTOR
        for block in self.blocks:
            assert isinstance(block, SwinBlock)
            x_BDHWC = reference_block(block, x_BDHWC, mask_MNN, share)
        attended = Tokens(x_BDHWC, share)
        return attended, attended if self.downsample is None else self.downsample(attended)


class ReferenceMerging(PatchMerging):
    """Average the frames of the whole grid, then stack the four phases of rows and columns as channels."""

    def forward(self, tokens: Tokens) -> Tokens:
        x_BDHWC, share = tokens
        if share is not None:
            weight, share = time_weights(share, self.step)
            x_BDHWC = x_BDHWC * weight[..., None]
        # frames and pixels of zeros count like data, as in the released model
        padded = pad_end(x_BDHWC, (self.step, 2, 2))
        merged = rearrange(padded, "b (d s) h w c -> b d s h w c", s=self.step).mean(dim=2)
        # (q p c) is the order of Swin's merging, which the trained weights depend on
        phases = rearrange(merged, "b d (h p) (w q) c -> b d h w (q p c)", p=2, q=2)
        out: Tensor = self.reduction(self.norm(phases))
        return Tokens(out, None if share is None else mean_of_pixels(share, (2, 2)))


class ReferencePatchEmbedding(PatchEmbedding):
    """Apply the 3-D convolution to the whole series."""

    def _project(self, image_BTCHW: Tensor) -> Tensor:
        padded_BTHWC = pad_end(rearrange(image_BTCHW, "b t c h w -> b t h w c"), self.patch)
        tokens_BCDHW: Tensor = self.proj(rearrange(padded_BTHWC, "b t h w c -> b c t h w"))
        return rearrange(tokens_BCDHW, "b c d h w -> b d h w c")


class ReferenceHead(SegmentationHead):
    """Resize the whole map, then apply the head."""

    def at_size(self, x_BCHW: Tensor, size: Size) -> Tensor:
        logits: Tensor = self.head(resize(x_BCHW, size))
        return logits


class FixedSizeAgriFM(AgriFM):
    """AgriFM as configs of the public code build it: start of the neck and result have fixed sizes for all images.

    For images of the size that a config was written for, `AgriFM` computes the same sizes.
    """

    def __init__(self, config: AgriFMConfig, feature_size: Size, out_size: Size) -> None:
        super().__init__(config)
        self.feature_size, self.out_size = feature_size, out_size

    def neck_sizes(self, features: Mapping[str, EncoderOutput], target: Size) -> tuple[Size, Size]:
        return self.feature_size, self.out_size


class FrameDroppingMerging(PatchMerging):
    """Merging of the public code with `mean_frame_down = False`: keep the first of the frames, drop the others."""

    def forward(self, tokens: Tokens) -> Tokens:
        kept = pad_end(tokens.grid[:, :: self.step], (1, 2, 2))
        phases = rearrange(kept, "b d (h p) (w q) c -> b d h w (q p c)", p=2, q=2)
        out: Tensor = self.reduction(self.norm(phases))
        return Tokens(out, None)


def use_frame_dropping(network: NetworkType) -> NetworkType:
    """Switch the network to `FrameDroppingMerging`, in place; for plain series only."""
    for module in network.modules():
        if isinstance(module, PatchMerging):
            module.__class__ = FrameDroppingMerging
    return network
