"""With the weights of the public AgriFM code, every number it recorded comes out again."""

import pytest
import torch
from tests.models.agrifm.reference_model import arrays, below, reference_images, reference_model
from torch import Tensor, nn

from agrifm.models.agrifm.neck import resize
from agrifm.models.agrifm.reference import FixedSizeAgriFM, use_reference
from agrifm.models.agrifm.swin3d import EncoderOutput
from agrifm.train.losses import cross_entropy

CASES = [
    *[(name, case) for name in ("cat", "mean") for case in
      ("A_standard", "B_pad_thw", "C_short_t", "D_small_hw", "E_4d")],
    ("variant_no_mean_frame_down", "B_pad_thw"),
    ("variant_steps_122_222_322", "B_pad_thw"),
    ("two", "B_pad_thw"),
]  # fmt: skip


def outputs(model: FixedSizeAgriFM, images: dict[str, Tensor], wanted: set[str]) -> dict[str, Tensor]:
    """What the model computes, under the names of the recorded arrays."""
    with torch.no_grad():
        features: dict[str, EncoderOutput] = model.encoders(images)
        found = {}
        for source, maps in features.items():
            prefix = "Landsat/" if source == "Landsat" else ""
            found[f"{prefix}encoder_features"] = maps.encoder_features
            found |= {f"{prefix}feature{i}": feature for i, feature in enumerate(maps.features_list)}
        if "neck" in wanted:
            found["neck"] = resize(model.neck(features, model.feature_size), model.out_size)[:1]
        if "logits" in wanted:
            found["logits"] = model(images)
    return found


@pytest.mark.parametrize("slow", [False, True], ids=["fast", "plain"])
@pytest.mark.parametrize(("name", "case"), CASES)
def test_outputs_are_those_of_the_reference(name: str, case: str, slow: bool) -> None:
    expected = below(f"out/{name}/{case}/")
    model = reference_model(name)
    found = outputs(use_reference(model) if slow else model, reference_images(name, case), set(expected))
    assert expected.keys() <= found.keys()
    for key, reference in expected.items():
        error = found[key] - reference
        assert error.abs().max() <= 2e-5, key
        assert error.norm() <= 1e-5 * reference.norm(), key


def test_no_recorded_output_is_left_out() -> None:
    compared = {key for name, case in CASES for key in arrays() if key.startswith(f"out/{name}/{case}/")}
    assert compared == {key for key in arrays() if key.startswith("out/")}


def loss_after_backward(model: FixedSizeAgriFM) -> Tensor:
    logits = model(reference_images("cat", "A_standard"))
    label = arrays()["train/label"]
    # the reference divides by all pixels, not only by the labelled ones
    loss = cross_entropy(logits, label, ignore=-1) * (label != -1).float().mean()
    loss.backward()
    return loss.detach()


def assert_gradients(model: nn.Module, expected: dict[str, Tensor]) -> None:
    found = {key: p.grad.norm() for key, p in model.named_parameters() if p.grad is not None}
    assert found.keys() == expected.keys()
    for key, norm in expected.items():
        # a bias before batch normalisation has no gradient but rounding
        torch.testing.assert_close(found[key], norm, rtol=1e-3, atol=1e-7, msg=lambda m, key=key: f"{key}: {m}")


def test_gradients_are_those_of_the_reference_in_eval_mode() -> None:
    model = reference_model("cat")
    loss = loss_after_backward(model)
    assert loss.item() == pytest.approx(0.84088278, abs=1e-6)
    assert loss.item() == pytest.approx(arrays()["train/eval_bn_loss"].item(), abs=1e-6)
    assert_gradients(model, below("train/eval_bn_grad_norm/"))


def test_gradients_and_statistics_are_those_of_the_reference_in_training() -> None:
    model = reference_model("cat").train()
    loss = loss_after_backward(model)
    assert loss.item() == pytest.approx(0.88736165, abs=1e-6)
    assert loss.item() == pytest.approx(arrays()["train/batch_bn_loss"].item(), abs=1e-6)
    assert_gradients(model, below("train/batch_bn_grad_norm/"))
    buffers = dict(model.named_buffers())
    for key, reference in below("train/after/").items():
        torch.testing.assert_close(buffers[key], reference, rtol=1e-5, atol=1e-6)


def test_no_recorded_training_value_is_left_out() -> None:
    groups = ("eval_bn_grad_norm/", "batch_bn_grad_norm/", "after/", "label", "eval_bn_loss", "batch_bn_loss")
    assert all(below(f"train/{group}") for group in groups)
    assert all(key.startswith(groups) for key in below("train/"))
