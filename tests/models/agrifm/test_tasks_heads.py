"""Heads of every task: what they give, on which grid, in which unit, the same every time."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from agrifm.errors import ModelError
from agrifm.models.agrifm.tasks import (
    LOG_VARIANCE_BOUND,
    BoundariesTask,
    ClassesTask,
    EmbeddingTask,
    EstimatedQuantity,
    FractionsTask,
    RegressionTask,
    Task,
    TaskHeads,
    parcel_means,
)
from agrifm.models.agrifm.timeseries import mean_of_pixels

YIELD = EstimatedQuantity(name="yield", unit="t/ha", mean=7.0, std=2.0, limits=(0.0, 16.0))
MOISTURE = EstimatedQuantity(name="moisture", unit="%", mean=14.0, std=3.0)
TASKS: dict[str, Task] = {
    "groups": ClassesTask(classes=4),
    "cover": FractionsTask(classes=5, side=6),
    "fields": BoundariesTask(),
    "harvest": RegressionTask(quantities=(YIELD, MOISTURE), spread=True),
    "values": RegressionTask(quantities=(YIELD,), per="parcel"),
    "place": EmbeddingTask(size=8),
}
WIDTH = 12


def heads(tasks: dict[str, Task] = TASKS) -> TaskHeads:
    torch.manual_seed(0)
    return TaskHeads(tasks, WIDTH)


def features(rows: int = 7, columns: int = 9, samples: int = 2, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(samples, WIDTH, rows, columns, generator=torch.Generator().manual_seed(1))


def parcels(rows: int = 7, columns: int = 9, samples: int = 2, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).choice([-1, 3, 8, 500], (samples, rows, columns)))


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (7, 30), (30, 7)])
def test_every_task_has_its_shape_on_any_grid(rows: int, columns: int) -> None:
    numbers = parcels(rows, columns)
    found = heads()(features(rows, columns), numbers)
    assert {name: tuple(tensor.shape) for name, tensor in found.items()} == {
        "groups": (2, 4, rows, columns),
        "cover": (2, 5, math.ceil(rows / 6), math.ceil(columns / 6)),
        "fields": (2, 3, rows, columns),
        "harvest": (2, 4, rows, columns),
        "values": (len(set(numbers[numbers >= 0].tolist())), 1),
        "place": (2, 8, rows, columns),
    }


def test_numbers_keep_to_their_ranges_however_far_the_features_lie() -> None:
    found = heads()(features(scale=1e4), parcels())
    torch.testing.assert_close(found["cover"].sum(dim=1), torch.ones(2, 2, 2))
    assert (found["cover"] >= 0).all()
    assert 0 <= found["fields"][:, 1].min() <= found["fields"][:, 1].max() <= 1
    assert 0 <= found["harvest"][:, 0].min() <= found["harvest"][:, 0].max() <= 16
    assert found["harvest"][:, 1].min() < 0  # without limits
    assert found["harvest"][:, 2:].abs().max() <= LOG_VARIANCE_BOUND
    torch.testing.assert_close(found["place"].norm(dim=1), torch.ones(2, 7, 9))


@pytest.mark.parametrize(("rows", "columns", "side"), [(1, 1, 5), (7, 9, 3), (8, 6, 4), (5, 5, 1), (13, 2, 6)])
def test_coarse_means_are_numpys_over_the_part_inside(rows: int, columns: int, side: int) -> None:
    fine = features(rows, columns).numpy()
    coarse = mean_of_pixels(torch.from_numpy(fine), (side, side)).numpy()
    assert coarse.shape[2:] == (math.ceil(rows / side), math.ceil(columns / side))
    for row, column in np.ndindex(*coarse.shape[2:]):
        part = fine[:, :, row * side : (row + 1) * side, column * side : (column + 1) * side]
        np.testing.assert_allclose(coarse[:, :, row, column], part.mean(axis=(2, 3)), atol=1e-6)


def test_fractions_of_large_pixels_are_the_means_of_those_of_small_ones() -> None:
    fine, coarse = (heads({"cover": FractionsTask(classes=5, side=side)}) for side in (2, 6))
    x = features(12, 18)
    torch.testing.assert_close(coarse(x)["cover"], mean_of_pixels(fine(x)["cover"], (3, 3)))


def test_parcel_means_are_numpys_and_rows_ascend() -> None:
    x, numbers = features(), parcels()
    found = parcel_means(x, numbers)
    pixels = np.moveaxis(x.numpy(), 1, -1)
    for row, number in enumerate([3, 8, 500]):
        np.testing.assert_allclose(found[row].numpy(), pixels[numbers.numpy() == number].mean(axis=0), atol=1e-6)
    assert len(found) == 3


def test_parcel_means_have_the_gradient_of_a_mean() -> None:
    x, numbers = features().double().requires_grad_(), parcels()
    parcel_means(x, numbers)[1].sum().backward()
    assert x.grad is not None
    inside = numbers == 8
    expected = (inside / inside.sum())[:, None].expand_as(x)
    torch.testing.assert_close(x.grad, expected.double())


def test_parcel_means_of_half_precision_are_added_up_in_full() -> None:
    """In bfloat16 a sum of ones ends at 256."""
    means = parcel_means(torch.ones(1, 2, 50, 100, dtype=torch.bfloat16), torch.zeros(1, 50, 100, dtype=torch.int32))
    assert means.dtype == torch.bfloat16
    assert means.tolist() == [[1, 1]]


def test_parcel_means_are_the_same_bits_each_time() -> None:
    x, numbers = features(64, 64, samples=4), parcels(64, 64, samples=4)
    first = parcel_means(x, numbers)
    assert all(torch.equal(parcel_means(x, numbers), first) for _ in range(5))
    # other numbers in the same order, of another integer type
    assert torch.equal(parcel_means(x, torch.where(numbers >= 0, numbers + 70, -9).int()), first)


def test_a_parcel_estimate_does_not_see_pixels_outside_parcels() -> None:
    layer, numbers = heads(), parcels()
    other = torch.where((numbers < 0)[:, None], 100.0, features())
    assert torch.equal(layer(other, numbers)["values"], layer(features(), numbers)["values"])


def test_no_parcel_in_sight_is_no_row_and_can_be_trained_on() -> None:
    layer = heads()
    found = layer(features(), torch.full((2, 7, 9), -1))
    assert found["values"].shape == (0, 1)
    sum(tensor.sum() for tensor in found.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in layer.parameters())


def test_without_parcels_only_the_tasks_per_parcel_are_missing() -> None:
    layer = heads()
    found = layer(features())
    assert TASKS.keys() - found.keys() == {"values"}
    for name, tensor in layer(features(), parcels()).items():
        assert name == "values" or torch.equal(found[name], tensor)


def test_tasks_do_not_change_each_other() -> None:
    layer = heads()
    alone = TaskHeads({"fields": TASKS["fields"]}, WIDTH)
    own = {name: value for name, value in layer.state_dict().items() if "fields" in name}
    alone.load_state_dict(own)
    assert torch.equal(alone(features())["fields"], layer(features(), parcels())["fields"])


@pytest.mark.parametrize(
    ("wrong", "fact"),
    [
        (torch.zeros(2, 9, 7, dtype=torch.long), r"\(2, 9, 7\)"),
        (torch.zeros(2, 7, 9), "not whole numbers"),
    ],
)
def test_parcels_that_do_not_fit_are_refused(wrong: Tensor, fact: str) -> None:
    with pytest.raises(ModelError, match=fact):
        heads()(features(), wrong)
