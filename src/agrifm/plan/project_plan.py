"""What a project will need: what was found, the steps, and money if there are prices."""

from dataclasses import asdict, dataclass
from typing import Any

from agrifm.plan.forecast import SensorForecast, StepForecast
from agrifm.plan.prices import Prices


@dataclass(frozen=True)
class ProjectPlan:
    """What a project will need."""

    season: tuple[str, str]
    hectares: float
    """Of the area."""
    sensors: tuple[SensorForecast, ...]
    steps: tuple[StepForecast, ...]
    workers: int
    cores: int
    """Of each worker."""
    notes: tuple[str, ...]
    prices: Prices | None = None

    def cost(self, step: StepForecast) -> float | None:
        """Return what a step costs; None without prices. Training runs on one machine."""
        workers = 1 if step.name == "train" else self.workers
        return None if self.prices is None else self.prices.cost(step, self.cores, workers)

    def content(self) -> dict[str, Any]:
        """Return everything as JSON."""
        steps = {}
        for step in self.steps:
            cost = self.cost(step)
            money = {} if cost is None or self.prices is None else {"cost": cost, "currency": self.prices.currency}
            steps[step.name] = {key: value for key, value in asdict(step).items() if key != "name"} | money
        return {
            "season": list(self.season),
            "hectares": self.hectares,
            "workers": self.workers,
            "cores": self.cores,
            "sensors": {one.sensor: asdict(one) for one in self.sensors},
            "steps": steps,
            "notes": list(self.notes),
        }
