"""Integrated gradients have the closed form of simple functions, Captum's numbers, and add up (completeness)."""

import numpy as np
import torch
from tests.inference.test_predictor import make_model, make_sample

from agrifm.explain.gradients import integrated_gradients, keeps_pixels_apart
from agrifm.inference.tensors import tensor_batch
from agrifm.models.batch import TensorBatch

CAPTUM = [[0.05006705, -0.28290774], [-0.41946935, -0.13291653], [0.1010542, -0.10596394]]
"""Of Captum 0.9.0: IntegratedGradients(f).attribute(x, b, n_steps=24, method="riemann_middle") with `Waves` below."""


def wave(*shape: int, phase: float = 0.0) -> torch.Tensor:
    count = int(np.prod(shape))
    return torch.sin(0.7 * torch.arange(count, dtype=torch.float64) + phase).reshape(shape)


def batch_of(image: torch.Tensor) -> TensorBatch:
    samples, frames = image.shape[:2]
    valid = torch.ones(samples, frames, *image.shape[3:], dtype=torch.bool)
    day = torch.zeros(samples, frames)
    return TensorBatch({"s": image}, {"s": valid}, {"s": day}, torch.ones(samples), {}, {}, torch.empty(0))


class Waves(torch.nn.Module):
    """Two layers whose weights are sines: three classes of a pixel with 3 frames of 2 bands."""

    def forward(self, batch: TensorBatch) -> torch.Tensor:
        flat = batch.images["s"].flatten(1).double()
        logits = torch.tanh(flat @ wave(5, 6).T) @ wave(3, 5, phase=1.0).T
        return logits[:, :, None, None]


class Blurred(torch.nn.Module):
    """Two classes; each pixel's answer is that of the mean of its row."""

    def forward(self, batch: TensorBatch) -> torch.Tensor:
        score = batch.images["s"].sum(dim=(1, 2)).mean(dim=-1, keepdim=True).expand(-1, -1, 4)
        return torch.stack([score, torch.zeros_like(score)], dim=1)


class Linear(torch.nn.Module):
    """Two classes; the logit of the first is linear in a pixel's 3 frames of 2 bands."""

    weight = torch.tensor([[1.0, -2.0], [0.5, 0.0], [3.0, 1.0]])

    def forward(self, batch: TensorBatch) -> torch.Tensor:
        score = (batch.images["s"] * self.weight[:, :, None, None]).sum(dim=(1, 2))
        return torch.stack([score, torch.zeros_like(score)], dim=1)


ONE = torch.zeros(1, 1, 1, dtype=torch.int64)


def test_attributions_are_those_of_captum():
    series, baseline = wave(3, 2, phase=0.3), 0.5 * wave(3, 2, phase=2.0)
    image, start = (part.reshape(1, 3, 2, 1, 1) for part in (series, baseline))
    (found,) = integrated_gradients(Waves(), batch_of(image), {"s": start}, ONE, ONE + 1, [0], 24)
    np.testing.assert_allclose(found.by_sensor["s"][0], CAPTUM, atol=1e-6)


def test_a_linear_score_is_divided_by_its_terms():
    """Along a straight path a function of w x gives each term its share of w (x - x'), in closed form."""
    generator = torch.Generator().manual_seed(0)
    image, start = torch.randn(2, 2, 3, 2, 2, 1, generator=generator)
    unit = torch.tensor([[[0], [1]], [[-1], [0]]])
    found = integrated_gradients(Linear(), batch_of(image), {"s": start}, unit, torch.zeros_like(unit), [0, 1], 100)
    terms = ((image - start) * Linear.weight[:, :, None, None]).numpy()
    score = [(part * Linear.weight[:, :, None, None]).sum(dim=(1, 2)).numpy() for part in (image, start)]
    gain = np.log((1 + np.exp(-score[1])) / (1 + np.exp(-score[0])))  # of log sigmoid
    exact = terms * (gain / (score[0] - score[1]))[:, None, None]
    for number, attribution in enumerate(found):
        inside = (unit == number).numpy()[:, None, None]
        np.testing.assert_allclose(attribution.by_sensor["s"], (exact * inside).sum(axis=(3, 4)), atol=1e-3)


def test_attributions_of_a_network_add_up():
    model = make_model("observed")
    batch = tensor_batch([make_sample("observed")], model.record.sensors)
    start = {name: torch.where(batch.valid[name][:, :, None], 0.5, image) for name, image in batch.images.items()}
    unit = torch.zeros(1, 48, 48, dtype=torch.int64)
    unit[:, 20:] = -1
    (found,) = integrated_gradients(model.classifier, batch, start, unit, unit.clamp(min=0), [0], 12)
    assert abs(found.seen - found.baseline) > 1
    assert abs(found.gap) < 0.01 * abs(found.seen - found.baseline)


def test_the_part_of_neighbours_belongs_to_the_pixel_that_is_explained():
    """Half of a row's mean comes from pixels of the other unit; a shortcut by input pixel would lose it."""
    image = torch.arange(4.0).reshape(1, 1, 1, 1, 4)
    start, unit = torch.zeros_like(image), torch.tensor([[[0, 0, 1, 1]]])
    assert not keeps_pixels_apart(Blurred(), batch_of(image), {"s": start})
    assert keeps_pixels_apart(Linear(), batch_of(image.expand(1, 3, 2, 1, 4)), {"s": start.expand(1, 3, 2, 1, 4)})
    found = integrated_gradients(Blurred(), batch_of(image), {"s": start}, unit, torch.zeros_like(unit), [0, 1], 200)
    gain = np.log(2) - np.log1p(np.exp(-1.5))  # the row's mean is 1.5
    for attribution in found:
        np.testing.assert_allclose(attribution.by_sensor["s"].sum(), 2 * gain, rtol=1e-4)
