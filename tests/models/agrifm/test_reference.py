"""The fast path gives the numbers of the plain one; `test_agrifm_reference.py` has those of the public code."""

import copy
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.agrifm.reference_model import CONFIGS, below, reference_images, reference_model
from tests.models.agrifm.test_network_reference import CASES
from torch import Tensor, nn

from agrifm.models.agrifm import swin3d
from agrifm.models.agrifm.neck import SegmentationHead
from agrifm.models.agrifm.reference import (
    ReferenceHead,
    ReferenceMerging,
    ReferencePatchEmbedding,
    ReferenceStage,
    paste_windows,
    shift_mask,
    use_reference,
)
from agrifm.models.agrifm.swin3d import EncoderOutput, PatchEmbedding, Stage, SwinBackbone, SwinConfig, SwinEncoder
from agrifm.models.agrifm.timeseries import ObservedSeries, Tokens
from agrifm.models.agrifm.window_partition import Triple, cut_windows

OUTPUT, GRADIENT = 1e-6, 1e-5


def cells(size: Triple) -> list[Triple]:
    d, h, w = size
    return list(product(range(d), range(h), range(w)))


def distance(found: Tensor, expected: Tensor) -> float:
    """Relative L2; of two tensors of zeros 0."""
    return float((found - expected).detach().norm() / expected.detach().norm().clamp(min=1e-30))


def test_windows_are_pasted_where_they_were_cut() -> None:
    grid, window = (4, 6, 4), (2, 3, 2)
    x = torch.arange(2 * 4 * 6 * 4).reshape(2, 4, 6, 4, 1)
    assert torch.equal(paste_windows(cut_windows(x, window), window, grid), x)


def test_mask_separates_what_the_shift_brought_together() -> None:
    grid, window, shift = (2, 6, 4), (2, 3, 2), (0, 1, 1)
    mask = shift_mask(grid, window, shift, torch.device("cpu"))

    def region(cell: Triple) -> tuple[bool, bool]:
        """Whether a cell of the last windows came from the opposite edge."""
        return cell[1] >= 6 - 1, cell[2] >= 4 - 1

    for m, (h, w) in enumerate(product((0, 3), (0, 2))):
        tokens = [(d, h + i, w + j) for d, i, j in cells(window)]
        for (i, a), (j, b) in product(enumerate(tokens), repeat=2):
            assert mask[m, i, j] == (0 if region(a) == region(b) else -100)


def maps(features: dict[str, EncoderOutput]) -> list[Tensor]:
    return [one for own in features.values() for one in (*own.features_list, own.encoder_features)]


@pytest.mark.parametrize(("name", "case"), CASES)
def test_both_paths_give_the_same_numbers_with_released_weights(name: str, case: str) -> None:
    fast, images = reference_model(name), reference_images(name, case)
    slow = use_reference(reference_model(name))
    with torch.no_grad():
        features, expected = fast.encoders(images), slow.encoders(images)
        for own, other in zip(maps(features), maps(expected), strict=True):
            assert distance(own, other) <= OUTPUT
        if below(f"out/{name}/{case}/logits"):
            joined = [fast.neck(own, (3, 3)) for own in (features, expected)]
            assert distance(*joined) <= OUTPUT
            logits, others = fast(images), slow(images)
            exact = use_reference(reference_model(name)).double()(
                {key: image.double() for key, image in images.items()}
            )
            # the logits of `two` are small differences: in float32 the plain path itself is 1.6e-6 from the true ones,
            # and two roundings of one size are the square root of two of it apart
            assert distance(logits, others) <= max(OUTPUT, 2**0.5 * distance(others.double(), exact))


@pytest.mark.parametrize("name", CONFIGS)
def test_both_paths_give_the_gradients_of_the_whole_network(name: str) -> None:
    images = reference_images(name, "B_pad_thw" if name == "two" else "A_standard")
    fast, slow = reference_model(name), use_reference(reference_model(name))
    with torch.no_grad():
        weight = torch.randn_like(slow.encoders(images)["S2"].encoder_features)
    for model in (fast, slow):
        (model.encoders(images)["S2"].encoder_features * weight).sum().backward()
    expected = dict(slow.named_parameters())
    compared = 0
    for key, parameter in fast.named_parameters():
        if parameter.grad is not None and key.startswith("encoders"):
            assert_near(key, parameter, expected[key])
            compared += 1
    assert compared > 100


def assert_near(key: str, found: Tensor, expected: Tensor, most: float = GRADIENT) -> None:
    assert found.grad is not None
    assert expected.grad is not None
    if key.endswith("qkv.bias"):
        # what all keys share changes no softmax: that part of the gradient may be rounding alone
        A = len(found.grad) // 3
        assert distance(found.grad[2 * A :], expected.grad[2 * A :]) <= most, key
        assert (found.grad - expected.grad).norm() <= most * expected.grad.norm(), key
    else:
        # a bias where all keys but one are unseen has no gradient but the rounding of terms of order one
        assert (found.grad - expected.grad).norm() <= most * max(float(expected.grad.norm()), 1e-4), key


def test_the_plain_path_is_the_same_network() -> None:
    model = reference_model("cat")
    before = {key: value.data_ptr() for key, value in model.state_dict().items()}
    slow = use_reference(model)
    assert slow is model
    assert {key: value.data_ptr() for key, value in slow.state_dict().items()} == before
    for path in (ReferenceStage, ReferenceMerging, ReferencePatchEmbedding, ReferenceHead):
        assert any(type(module) is path for module in slow.modules())
    assert not any(type(module) in (Stage, PatchEmbedding, SegmentationHead) for module in slow.modules())


def stage(window: Triple, seed: int) -> Stage:
    torch.manual_seed(seed)
    config = SwinConfig(embed_dim=8, depths=(3, 1, 1, 1), heads=(2, 2, 2, 2), window=window, drop_path=0.4)
    return stirred(Stage(config, 0)).eval()


def stirred(network: nn.Module) -> nn.Module:
    """Position biases and the rest far from zero, so that nothing that goes wrong stays small."""
    with torch.no_grad():
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=0.5)
    return network


grids = st.tuples(st.integers(1, 5), st.integers(1, 11), st.integers(1, 11))
windows = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))


def outputs_and_gradients(path: Stage, x: Tensor, share: Tensor | None) -> tuple[list[Tensor], Tensor]:
    """The grids that leave, and the gradient of a sum of the merged one's tokens, each weighted differently."""
    given = x.clone().requires_grad_()
    attended, merged = path(Tokens(given, share))
    weight = torch.linspace(-1, 2, merged.grid.numel(), dtype=x.dtype).sin().view_as(merged.grid)
    (merged.grid * weight).sum().backward()
    assert given.grad is not None
    return [attended.grid, merged.grid], given.grad


@settings(deadline=None, max_examples=120)
@given(
    grid=grids,
    window=windows,
    samples=st.integers(1, 2),
    seen=st.sampled_from([None, 0.0, 0.3, 0.8]),
    run=st.integers(1, 200),
    seed=st.integers(0, 9),
)
def test_a_stage_is_the_plain_one_in_other_words(
    grid: Triple, window: Triple, samples: int, seen: float | None, run: int, seed: int
) -> None:
    """To the digits of float64: any grid, window, shift and padding, in time too; unseen tokens; runs of any length."""
    fast = stage(window, seed).double()
    slow = use_reference(copy.deepcopy(fast))
    x = torch.randn(samples, *grid, 8, dtype=torch.float64)
    share = None if seen is None else torch.rand(samples, *grid).double() * (torch.rand(samples, *grid) < seen)
    outputs, gradient = outputs_and_gradients(fast, x, share)
    expected, other_gradient = outputs_and_gradients(slow, x, share)
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(swin3d, "MAX_TOKENS_AT_ONCE", run)
        before = x.clone()
        attended, merged = fast(Tokens(x, share))
        assert torch.equal(x, before)
    for own, other in zip([*outputs, attended.grid, merged.grid], [*expected, *expected], strict=True):
        assert distance(own, other) <= 1e-11
    if share is not None:
        assert torch.equal(merged.share, slow(Tokens(x, share))[1].share)
    assert distance(gradient, other_gradient) <= 1e-10
    others = dict(slow.named_parameters())
    for key, parameter in fast.named_parameters():
        assert_near(key, parameter, others[key], 1e-10)


@settings(deadline=None, max_examples=25)
@given(grid=grids, window=windows, seen=st.sampled_from([None, 0.3, 0.8]), seed=st.integers(0, 9))
def test_a_stage_in_float32_differs_from_the_plain_one_by_rounding(
    grid: Triple, window: Triple, seen: float | None, seed: int
) -> None:
    """By 1e-6, in gradients by 1e-5; where -100 takes digits from logits, by what the plain path itself rounds."""
    fast = stage(window, seed)
    slow, exact = use_reference(copy.deepcopy(fast)), use_reference(copy.deepcopy(fast)).double()
    x = torch.randn(2, *grid, 8)
    share = None if seen is None else torch.rand(2, *grid) * (torch.rand(2, *grid) < seen)
    outputs, gradient = outputs_and_gradients(fast, x, share)
    expected, other_gradient = outputs_and_gradients(slow, x, share)
    true, true_gradient = outputs_and_gradients(exact, x.double(), None if share is None else share.double())
    for own, other, one in zip([*outputs, gradient], [*expected, other_gradient], [*true, true_gradient], strict=True):
        most = GRADIENT if own is gradient else OUTPUT
        assert distance(own, other) <= max(most, 2 * distance(other.double(), one))


def test_training_drops_the_same_branches_on_both_paths() -> None:
    fast = stage((2, 3, 3), 0).train()
    slow = use_reference(copy.deepcopy(fast))
    x = torch.randn(6, 2, 5, 7, 8)
    outputs = []
    for path in (fast, slow):
        torch.manual_seed(3)
        outputs.append(path(Tokens(x, None))[0].grid)
    assert distance(outputs[0], outputs[1]) <= OUTPUT
    torch.manual_seed(4)
    assert distance(fast(Tokens(x, None))[0].grid, outputs[1]) > 1e-3


def test_gradients_are_the_same_bits_each_time() -> None:
    fast = stage((2, 3, 3), 0)
    x = torch.randn(2, 3, 8, 7, 8)
    found = []
    for _ in range(2):
        fast.zero_grad()
        fast(Tokens(x, None))[1].grid.square().sum().backward()
        found.append([parameter.grad.clone() for parameter in fast.parameters() if parameter.grad is not None])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@settings(deadline=None, max_examples=20)
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 13), st.integers(1, 13)),
    patch=st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)),
    observed=st.booleans(),
)
def test_an_encoder_gives_the_numbers_of_the_plain_one(size: Triple, patch: Triple, observed: bool) -> None:
    """Images of any size in patches of any size, with dates and gaps too."""
    torch.manual_seed(1)
    config = SwinConfig(
        embed_dim=8, depths=(1, 1, 2, 1), heads=(1, 1, 2, 2), window=(2, 3, 3), fusion="mean", dates=observed,
        validity=observed,
    )  # fmt: skip
    fast = stirred(SwinEncoder(3, patch, config)).eval().double()
    slow = use_reference(copy.deepcopy(fast))
    T, H, W = size
    image = torch.randn(2, T, 3, H, W, dtype=torch.float64)
    valid = torch.rand(2, T, H, W) < 0.6
    day = torch.randint(0, 300, (2, T)).sort(dim=1).values.float()
    series = ObservedSeries(image, valid, day, torch.full((2,), 60.0)) if observed else image
    with torch.no_grad():
        for found, expected in zip(maps({"S2": fast(series)}), maps({"S2": slow(series)}), strict=True):
            assert found.shape == expected.shape
            assert distance(found, expected) <= 1e-9


@pytest.mark.parametrize(("coarse", "size"), [
    ((16, 12), (32, 24)), ((16, 12), (100, 31)), ((33, 20), (33, 20)), ((40, 9), (70, 5)), ((80, 4), (37, 9)),
    ((1, 1), (65, 3)), ((7, 5), (1, 1)),
])  # fmt: skip
def test_logits_in_strips_are_those_of_the_whole_map(coarse: tuple[int, int], size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    head = SegmentationHead(8, 3).eval()
    x = torch.randn(2, 8, *coarse)
    with torch.no_grad():
        found, expected = head.at_size(x, size), use_reference(copy.deepcopy(head)).at_size(x, size)
    assert found.shape == expected.shape == (2, 3, *size)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=2e-6)
    assert distance(found, expected) <= OUTPUT


def test_backbones_without_gradients_leave_the_tokens_that_enter() -> None:
    torch.manual_seed(0)
    backbone = SwinBackbone(SwinConfig(embed_dim=8, depths=(2, 1, 1, 1), heads=(1, 1, 1, 1), window=(2, 3, 3)))
    tokens = torch.randn(1, 2, 9, 8, 8)
    before = tokens.clone()
    with torch.inference_mode():
        features = backbone.eval()(Tokens(tokens, None))
    assert torch.equal(tokens, before)
    assert torch.equal(features.features_list[0], before.permute(0, 4, 1, 2, 3).flatten(1, 2))
