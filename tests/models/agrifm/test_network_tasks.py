"""Every task on one model: from one pass, on the target grid whatever the patches, and learnable together."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from agrifm.models.agrifm.network import AgriFM, AgriFMConfig, preset
from agrifm.models.agrifm.tasks import (
    BoundariesTask,
    ClassesTask,
    EmbeddingTask,
    EstimatedQuantity,
    FractionsTask,
    RegressionTask,
    Task,
)
from agrifm.models.agrifm.timeseries import ObservedSeries
from agrifm.models.agrifm.window_partition import Triple
from agrifm.samples.targets import class_fractions, field_targets
from agrifm.train.losses import (
    boundary_loss,
    cross_entropy,
    distance_loss,
    embedding_loss,
    extent_loss,
    fractions_loss,
    regression_loss,
)

FRAMES, BANDS, CLASSES, SIDE = 4, 2, 3, 24
STD = 2.0
GRAIN = EstimatedQuantity(name="grain yield", unit="t/ha", mean=7.0, std=STD)
TASKS: dict[str, Task] = {
    "groups": ClassesTask(classes=2),
    "cover": FractionsTask(classes=CLASSES, side=8),
    "fields": BoundariesTask(),
    "growth": RegressionTask(quantities=(GRAIN,), spread=True),
    "harvest": RegressionTask(quantities=(GRAIN,), per="parcel"),
    "place": EmbeddingTask(size=8),
}


def model_of(tasks: dict[str, Task] = TASKS, patch: Triple = (4, 2, 2), pixel_decoder: bool = True) -> AgriFM:
    torch.manual_seed(0)
    config = preset("tiny", {"sentinel-2": BANDS}, CLASSES, {"sentinel-2": patch}, FRAMES if pixel_decoder else None)
    return AgriFM(AgriFMConfig.model_validate(config.model_dump() | {"tasks": tasks}))


def series(rows: int, columns: int) -> dict[str, Tensor]:
    return {"sentinel-2": torch.randn(1, FRAMES, BANDS, rows, columns, generator=torch.Generator().manual_seed(1))}


@pytest.mark.parametrize("pixel_decoder", [True, False])
@pytest.mark.parametrize("patch", [(4, 2, 2), (4, 4, 4)])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (7, 30), (30, 7)])
def test_results_lie_on_the_target_grid_whatever_the_patch(
    pixel_decoder: bool, patch: Triple, rows: int, columns: int
) -> None:
    parcels = torch.zeros(1, rows, columns, dtype=torch.long)
    with torch.no_grad():
        found = model_of(patch=patch, pixel_decoder=pixel_decoder).eval().predict_tasks(series(rows, columns), parcels)
    fine = (rows, columns)
    assert {name: tuple(result.shape) for name, result in found.items()} == {
        "classes": (1, CLASSES, *fine),
        "groups": (1, 2, *fine),
        "cover": (1, CLASSES, -(-rows // 8), -(-columns // 8)),
        "fields": (1, 3, *fine),
        "growth": (1, 2, *fine),
        "harvest": (1, 1),
        "place": (1, 8, *fine),
    }
    assert all(result.isfinite().all() for result in found.values())


@pytest.mark.parametrize("pixel_decoder", [True, False])
def test_the_classes_are_those_of_forward_and_one_pass_makes_all(pixel_decoder: bool) -> None:
    model, images = model_of(pixel_decoder=pixel_decoder).eval(), series(12, 12)
    passes: list[object] = []
    model.encoders.register_forward_hook(lambda *_: passes.append(1))
    with torch.no_grad():
        found = model.predict_tasks(images)
        assert len(passes) == 1
        assert torch.equal(found["classes"], model(images))
    assert "harvest" not in found


@pytest.mark.parametrize("pixel_decoder", [True, False])
def test_a_model_without_tasks_has_the_same_weights_and_classes(pixel_decoder: bool) -> None:
    plain, full = model_of({}, pixel_decoder=pixel_decoder).eval(), model_of(pixel_decoder=pixel_decoder)
    added = full.state_dict().keys() - plain.state_dict().keys()
    assert {name.split(".")[0] for name in added} == {"tasks"}
    assert not plain.state_dict().keys() - full.state_dict().keys()
    # the tasks are made last, so the rest starts from the same random numbers
    assert all(torch.equal(tensor, full.state_dict()[name]) for name, tensor in plain.state_dict().items())
    assert plain.predict_tasks(series(6, 6)).keys() == {"classes"}


@pytest.mark.parametrize("pixel_decoder", [True, False])
def test_tasks_without_a_source_are_on_the_same_grid(pixel_decoder: bool) -> None:
    """Landsat's pixels are three target pixels; where Sentinel-2 is absent, it carries the tasks alone."""
    torch.manual_seed(0)
    sources = {"sentinel-2": BANDS, "landsat": 3}
    plain = preset("tiny", sources, CLASSES, frames=FRAMES if pixel_decoder else None)
    content = plain.model_dump() | {"tasks": TASKS}
    content["sources"] = [source | {"pixel": pixel} for source, pixel in zip(content["sources"], (1, 3), strict=True)]
    model = AgriFM(AgriFMConfig.model_validate(content)).eval()

    def observed(bands: int, side: int) -> ObservedSeries:
        valid = torch.rand(2, 5, side, side) < 0.7
        days = torch.tensor([[3.0, 10, 40, 80, 90], [5, 6, 7, 100, 120]])
        return ObservedSeries(torch.randn(2, 5, bands, side, side), valid, days, torch.tensor([90, 100]))

    series, coarse = observed(BANDS, 30), observed(3, 10)
    parcels = torch.zeros(2, 30, 30, dtype=torch.int32)
    with torch.no_grad():
        both = model.predict_tasks({"sentinel-2": series, "landsat": coarse}, parcels)
        alone = model.predict_tasks({"sentinel-2": None, "landsat": coarse}, parcels)
    assert both.keys() == {"classes", *TASKS}
    for name, result in both.items():
        assert result.shape == alone[name].shape
        assert result.isfinite().all()
        assert alone[name].isfinite().all()
        assert not torch.equal(result, alone[name])


def test_the_config_survives_json_and_classes_is_taken() -> None:
    model = model_of().eval()
    config = AgriFMConfig.model_validate_json(model.config.model_dump_json())
    assert config == model.config
    again = AgriFM(config).eval()
    again.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert all(
            torch.equal(again.predict_tasks(series(9, 9))[name], one)
            for name, one in model.predict_tasks(series(9, 9)).items()
        )
    with pytest.raises(ValueError, match="`classes` is reserved"):
        model_of({"classes": BoundariesTask()})
    with pytest.raises(ValueError, match=r"tasks\.`my\.task`"):
        model_of({"my.task": BoundariesTask()})


def test_the_example_of_the_documentation_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[3] / "docs" / "tasks.md").read_text(encoding="utf-8")
    example = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert example is not None
    exec(example.group(1), {})
    assert capsys.readouterr().out.splitlines() == [
        "classes (2, 5, 96, 96)",
        "cover (2, 5, 2, 2)",
        "fields (2, 3, 96, 96)",
        "harvest (1, 1)",
        "place (2, 16, 96, 96)",
    ]


class ToyScene:
    """Nine square fields of 6 pixels amid other land; greenness tells the crop, brightness the yield.

    What is known of one task is not known of another: a third of the labels, parcels, and pixels is withheld.
    """

    def __init__(self, samples: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        shape = (samples, 3, 3)
        crop = random.choice(CLASSES, shape, p=[0.4, 0.3, 0.3])
        harvest = random.normal(GRAIN.mean, STD, shape)
        number = np.where(crop < 2, np.arange(crop.size).reshape(shape), -1)
        self.label, self.grain, self.place = _pixels(crop, 2), _pixels(harvest, GRAIN.mean), _pixels(number, -1)
        curve = np.array([[-1, 0, 1, 1.5], [1.5, 1, 0, -1], [0, 0, 0, 0]])[self.label]  # (B, H, W, T)
        brightness = np.repeat(((self.grain - GRAIN.mean) / STD)[..., None], FRAMES, axis=-1)
        clean = np.stack([curve, np.where(self.label[..., None] < 2, brightness, 3)], axis=-1)
        noisy = clean + random.normal(0, 0.1, clean.shape)
        self.images = {"sentinel-2": _tensor(noisy.transpose(0, 3, 4, 1, 2))}
        self.label = np.where(random.random(self.label.shape) < 1 / 3, 255, self.label).astype(np.uint8)
        fractions = [class_fractions(label, CLASSES, 8) for label in self.label]
        self.fractions, self.share = (_tensor(np.stack(parts)) for parts in zip(*fractions, strict=True))
        self.fields = _tensor(np.stack([field_targets(place).stacked() for place in self.place]))
        vectors = np.random.default_rng(0).normal(size=(CLASSES + 1, 8))
        vectors[CLASSES] = np.nan
        self.teacher = _tensor(vectors[np.minimum(self.label, CLASSES)].transpose(0, 3, 1, 2))
        self.known = torch.from_numpy(random.random(self.label.shape) < 2 / 3)
        self.parcels = torch.from_numpy(self.place)
        rows = self.parcels[self.parcels >= 0].unique()
        self.harvest = _tensor(harvest.ravel()[rows.numpy()])[:, None]
        self.surveyed = torch.from_numpy(random.random(self.harvest.shape) < 2 / 3)

    def losses(self, found: dict[str, Tensor]) -> dict[str, Tensor]:
        """The loss of every task."""
        label, grain = torch.from_numpy(self.label), _tensor(self.grain)[:, None]
        in_field = self.known & (self.parcels >= 0)
        boundary, distance, extent = found["fields"].unbind(dim=1)
        true_boundary, true_distance, true_extent = self.fields.unbind(dim=1)
        return {
            "classes": cross_entropy(found["classes"], label),
            "groups": cross_entropy(found["groups"], torch.where(label < 255, label // 2, 255)),
            "cover": fractions_loss(found["cover"], self.fractions, self.share),
            "boundary": boundary_loss(boundary, true_boundary, self.known),
            "distance": distance_loss(distance, true_distance, true_extent, self.known),
            "extent": extent_loss(extent, true_extent, self.known),
            "growth": regression_loss(found["growth"], grain, in_field[:, None], [STD]),
            "harvest": regression_loss(found["harvest"], self.harvest, self.surveyed, [STD]),
            "place": embedding_loss(found["place"], self.teacher, self.known),
        }

    def constants(self, logit: float) -> dict[str, Tensor]:
        """What one says who has not seen the images but knows the frequencies; `logit` is said of boundaries."""
        classes = np.bincount(self.label[self.label < 255], minlength=CLASSES) / (self.label < 255).sum()
        groups = [classes[:2].sum(), classes[2]]
        samples, extent = len(self.label), float((self.place >= 0).mean())
        maps = [logit, self.fields[:, 1][self.fields[:, 2] > 0].median().item(), np.log(extent / (1 - extent))]
        said = {
            "classes": np.log(classes),
            "groups": np.log(groups),
            "cover": self.fractions.movedim(1, 0).flatten(1).median(dim=1).values.numpy(),
            "fields": maps,
            "growth": [GRAIN.mean, 0],
            "place": self.teacher.nanmean(dim=(0, 2, 3)).numpy(),
        }
        maps_of = {name: _tensor(np.array(one)).reshape(1, -1, 1, 1) for name, one in said.items()}
        everywhere = {name: one.expand(samples, -1, SIDE, SIDE) for name, one in maps_of.items() if name != "cover"}
        cover = maps_of["cover"].expand_as(self.fractions)
        return everywhere | {"cover": cover, "harvest": torch.full_like(self.harvest, GRAIN.mean)}


def _pixels(fields: NDArray[np.generic], around: float) -> NDArray[np.generic]:
    return np.pad(fields.repeat(6, axis=1).repeat(6, axis=2), ((0, 0), (3, 3), (3, 3)), constant_values=around)


def _tensor(array: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array).astype(np.float32))


@pytest.mark.check
def test_one_model_learns_every_task_of_a_toy_scene() -> None:
    """On scenes that it has not seen, losses are below half of those of the best constant answer; two thirds for the
    distance, whose constant answer is rather good in small fields."""
    model, generator, steps = model_of(), np.random.default_rng(0), 80
    optimiser = torch.optim.AdamW(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=steps)
    for _ in range(steps):
        scene = ToyScene(4, int(generator.integers(1000)))
        losses = scene.losses(model.train().predict_tasks(scene.images, scene.parcels))
        optimiser.zero_grad()
        sum(losses.values(), torch.zeros(())).backward()
        optimiser.step()
        schedule.step()
    unseen = ToyScene(8, 1001)
    with torch.no_grad():
        learnt = unseen.losses(model.eval().predict_tasks(unseen.images, unseen.parcels))
        answers = [unseen.losses(unseen.constants(logit)) for logit in np.linspace(-3, 3, 13)]
    assert learnt.keys() == {"classes", "boundary", "distance", "extent", *TASKS} - {"fields"}
    shares = {name: loss.item() / min(answer[name].item() for answer in answers) for name, loss in learnt.items()}
    assert {name: share for name, share in shares.items() if share > (2 / 3 if name == "distance" else 0.5)} == {}
