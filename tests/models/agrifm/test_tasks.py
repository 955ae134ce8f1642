"""Configs of tasks: through JSON and back, refusals, and what a standardised number means."""

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from agrifm.models.agrifm.tasks import (
    BoundariesTask,
    ClassesTask,
    EmbeddingTask,
    EstimatedQuantity,
    FractionsTask,
    RegressionTask,
    Task,
)

YIELD = EstimatedQuantity(name="yield", unit="t/ha", mean=7.0, std=2.0, limits=(0.0, 16.0))
MOISTURE = EstimatedQuantity(name="moisture", unit="%", mean=14.0, std=3.0)


def test_tasks_survive_json_and_strangers_are_refused() -> None:
    adapter: TypeAdapter[dict[str, Task]] = TypeAdapter(dict[str, Task])
    tasks: dict[str, Task] = {
        "groups": ClassesTask(classes=4),
        "cover": FractionsTask(classes=5, side=6),
        "fields": BoundariesTask(),
        "harvest": RegressionTask(quantities=(YIELD, MOISTURE), per="parcel", spread=True),
        "place": EmbeddingTask(size=8),
    }
    assert adapter.validate_json(adapter.dump_json(tasks)) == tasks
    with pytest.raises(ValidationError, match="'fractions', 'boundaries'"):
        adapter.validate_python({"x": {"task": "depth"}})


def test_a_quantity_starts_at_its_mean_in_steps_of_its_deviation() -> None:
    """Around 0 both kinds are mean + std x; far off, one with limits ends there. By finite differences."""
    steps = torch.tensor([-60.0, -0.01, 0.0, 0.01, 60.0], dtype=torch.float64)
    limited, free = YIELD.in_unit(steps), MOISTURE.in_unit(steps)
    assert limited.tolist() == pytest.approx([0, 6.98, 7, 7.02, 16], abs=1e-4)
    assert free.tolist() == pytest.approx([14 - 180, 13.97, 14, 14.03, 14 + 180])


def test_a_mean_outside_the_limits_is_refused() -> None:
    with pytest.raises(ValidationError, match="outside its limits"):
        EstimatedQuantity(name="yield", unit="t/ha", mean=20, std=1, limits=(0, 16))


def test_two_quantities_of_one_name_are_refused() -> None:
    with pytest.raises(ValidationError, match="yield, yield"):
        RegressionTask(quantities=(YIELD, YIELD))
