"""What the model promises beyond the reference's numbers: presets, refusals, any length and size, same answer twice."""

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from agrifm.errors import ModelError
from agrifm.models.agrifm.network import PRESETS, AgriFM, AgriFMConfig, Source, check_images, preset
from agrifm.models.agrifm.swin3d import SwinConfig
from agrifm.train.losses import cross_entropy

SOURCES = {"sentinel-2": 10, "landsat": 6, "modis": 7}


def season(batch: int = 2, frames: int = 9, side: int = 48) -> dict[str, Tensor]:
    """Random images of one place, 10 / 30 / 480 m."""
    generator = torch.Generator().manual_seed(0)
    shapes = {"sentinel-2": (10, side), "landsat": (6, side // 3), "modis": (7, side // 48)}
    return {
        name: torch.randn(batch, frames, channels, pixels, pixels, generator=generator)
        for name, (channels, pixels) in shapes.items()
    }


def tiny(sources: dict[str, int] = SOURCES) -> AgriFM:
    torch.manual_seed(0)
    return AgriFM(preset("tiny", sources, classes=5))


def test_logits_are_on_the_pixels_of_the_first_source() -> None:
    assert tiny().eval()(season()).shape == (2, 5, 48, 48)
    landsat_first = {"landsat": 6, "sentinel-2": 10, "modis": 7}
    assert tiny(landsat_first).eval()(season()).shape == (2, 5, 16, 16)


def test_every_source_changes_the_logits() -> None:
    model, images = tiny().eval(), season(batch=1)
    with torch.no_grad():
        logits = model(images)
        for name in SOURCES:
            assert not torch.equal(logits, model(images | {name: images[name] + 1})), name


def test_images_are_left_as_they_were_and_other_entries_ignored() -> None:
    model, images = tiny({"sentinel-2": 10}).eval(), season()
    before = {name: image.clone() for name, image in images.items()}
    with torch.no_grad():
        assert torch.equal(model(images), model(images))
    assert images.keys() == before.keys()
    assert all(torch.equal(images[name], before[name]) for name in before)


@pytest.mark.parametrize("name", ["small", "tiny"])
def test_mean_presets_take_any_number_of_frames(name: str) -> None:
    model = AgriFM(preset(name, {"sentinel-2": 10}, classes=3)).eval()
    with torch.no_grad():
        for frames in range(1, 41):
            assert model(torch_series(frames, 16, 16)).isfinite().all(), frames


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 30), (17, 23), (33, 50), (49, 47)])
def test_mean_presets_take_any_size(rows: int, columns: int) -> None:
    with torch.no_grad():
        logits = tiny({"sentinel-2": 10}).eval()(torch_series(5, rows, columns))
    assert logits.shape == (1, 5, rows, columns)
    assert logits.isfinite().all()


def torch_series(frames: int, rows: int, columns: int) -> dict[str, Tensor]:
    return {"sentinel-2": torch.randn(1, frames, 10, rows, columns)}


def test_a_sample_alone_has_the_result_it_has_in_a_batch() -> None:
    model, images = tiny().eval(), season(batch=3)
    with torch.no_grad():
        together = model(images)
        alone = torch.cat([model({k: v[i : i + 1] for k, v in images.items()}) for i in range(3)])
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-5)


def test_two_equal_training_steps_have_equal_gradients_to_the_bit() -> None:
    def gradients() -> list[Tensor | None]:
        model = tiny().train()
        label = torch.arange(2 * 48 * 48).reshape(2, 48, 48) % 5
        cross_entropy(model(season()), label).backward()
        return [p.grad for p in model.parameters()]

    for one, other in zip(gradients(), gradients(), strict=True):
        assert one is not None
        assert other is not None
        assert torch.equal(one, other)


def test_a_single_sample_can_be_trained_on() -> None:
    model = tiny().train()
    cross_entropy(model(season(batch=1)), torch.zeros(1, 48, 48, dtype=torch.uint8)).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(
    ("target", "sensor", "patch"),
    [
        ("sentinel-2", "sentinel-2", (4, 4, 4)),
        ("sentinel-2", "sentinel-1", (4, 4, 4)),
        ("sentinel-2", "landsat", (4, 2, 2)),
        ("landsat", "landsat", (4, 2, 2)),
        ("sentinel-2", "hls-s30", (4, 2, 2)),
        ("sentinel-2", "cbers-4-awfi", (4, 2, 2)),
        ("cbers-4-awfi", "cbers-4-awfi", (4, 4, 4)),
        ("sentinel-2", "modis-250m", (4, 1, 1)),
        ("landsat", "modis", (4, 1, 1)),
        ("unknown", "unknown", (4, 4, 4)),
    ],
)
def test_tokens_have_fewer_pixels_the_coarser_the_sensor(target: str, sensor: str, patch: tuple[int, ...]) -> None:
    sources = {target: 3, sensor: 3}
    assert preset("tiny", sources, classes=2, frames=4).source(sensor).patch == patch
    half = (4, *(max(1, side // 2) for side in patch[1:]))
    assert preset("tiny", sources, classes=2).source(sensor).patch == half


def test_config_survives_json() -> None:
    for name in PRESETS:
        config = preset(name, SOURCES, classes=4, patches={"modis": (2, 1, 1)})
        assert AgriFMConfig.model_validate_json(config.model_dump_json()) == config


def test_config_from_json_builds_the_same_model() -> None:
    model, images = tiny().eval(), season(batch=1)
    again = AgriFM(AgriFMConfig.model_validate_json(model.config.model_dump_json())).eval()
    again.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(model(images), again(images))


def shapes(frames: int, **changes: tuple[int, ...]) -> dict[str, Tensor]:
    """Images without content: refusals look at shapes only."""
    shapes = {"sentinel-2": (2, frames, 10, 48, 48), "landsat": (2, frames, 6, 16, 16)} | changes
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def test_base_takes_29_to_32_frames_only() -> None:
    config = preset("base", {"sentinel-2": 10}, classes=2)
    for frames in range(1, 50):
        if 29 <= frames <= 32:
            check_images(shapes(frames), config)
        else:
            with pytest.raises(ModelError, match=rf"\b{frames} frames.*29 to 32"):
                check_images(shapes(frames), config)


@pytest.mark.parametrize(
    ("images", "fact"),
    [
        ({}, r"sentinel-2, landsat \(found: none\)"),
        ({"sentinel-2": torch.zeros(1, 3, 10, 8, 8)}, r"landsat \(found: sentinel-2\)"),
        (shapes(3, landsat=(2, 3, 7, 16, 16)), "landsat.* 7 bands.* 6"),
        (shapes(3, landsat=(5, 3, 6, 16, 16)), "samples per batch"),
        (shapes(3, landsat=(2, 16, 16)), "landsat.* 3 axes"),
        (shapes(3, landsat=(2, 0, 6, 16, 16)), "landsat are empty"),
    ],
)
def test_images_of_the_wrong_shape_are_refused(images: dict[str, Tensor], fact: str) -> None:
    with pytest.raises(ModelError, match=fact):
        tiny({"sentinel-2": 10, "landsat": 6})(images)


def test_unknown_presets_and_patches_are_refused() -> None:
    with pytest.raises(ModelError, match=r"huge.*base, small, tiny"):
        preset("huge", SOURCES, classes=2)
    with pytest.raises(ModelError, match="landsat"):
        preset("tiny", {"sentinel-2": 10}, classes=2, patches={"landsat": (4, 1, 1)})


S2 = Source(name="S2", channels=10, frames=32)


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"sources": (S2, S2)}, "S2, S2"),
        ({"neck_levels": (("S2",), ("S1",), ("S2",))}, "neck uses S1"),
        ({"neck_levels": ()}, "neck_levels has 0"),
        ({"sources": (Source(name="S2", channels=10),)}, "frames of S2"),
        (
            {"sources": (S2, Source(name="Landsat", channels=6, frames=64)), "neck_sources": ("S2", "Landsat")},
            "differ in channels",
        ),
    ],
)
def test_configs_that_cannot_be_built_are_refused(changes: dict[str, object], fact: str) -> None:
    sound = {
        "sources": (S2,),
        "classes": 2,
        "encoder": SwinConfig(),
        "neck_sources": ("S2",),
        "neck_levels": (("S2",),) * 3,
    }
    AgriFMConfig.model_validate(sound)
    with pytest.raises(ValidationError, match=fact):
        AgriFMConfig.model_validate(sound | changes)


def test_heads_must_divide_channels() -> None:
    with pytest.raises(ValidationError, match=r"20 channels.*3 heads"):
        SwinConfig(embed_dim=20, heads=(3, 4, 8, 16))


def test_stochastic_depth_grows_linearly_and_acts_in_training_only() -> None:
    model = AgriFM(preset("tiny", {"sentinel-2": 10}, classes=2))
    stages = model.encoders.encoders["sentinel-2"].backbone.layers
    rates = [block.drop_path.rate for stage in stages for block in stage.blocks]
    assert rates == pytest.approx([0.1 * i / 7 for i in range(8)])

    last = stages[-1].blocks[-1].drop_path
    branch = torch.ones(20_000, 1, 1, 1, 1)
    torch.manual_seed(0)
    assert torch.equal(last.eval()(branch), branch)
    dropped = last.train()(branch)
    assert dropped.unique().tolist() == pytest.approx([0, 1 / 0.9])
    assert dropped.mean().item() == pytest.approx(1, abs=0.01)
