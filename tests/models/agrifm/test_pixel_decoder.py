"""The pixel decoder: cheap, per sample, as fine as its pixels, and it stays AgriFM."""

import pytest
import torch

from agrifm.errors import ModelError
from agrifm.models.agrifm.network import AgriFM, AgriFMConfig, preset
from agrifm.models.agrifm.network_cost import forward_multiply_adds
from agrifm.models.agrifm.pixel_decoder import PixelDecoderConfig, triangular_basis

SOURCES = {"sentinel-2": 10, "landsat": 6, "modis": 7}
FRAMES = 8
FIRST = PixelDecoderConfig(detail=128, basis=0, separable=False)
"""Neighbours and channels in one convolution, every frame of a series by itself."""


def images(samples: int = 2, side: int = 48) -> dict[str, torch.Tensor]:
    sides = {"sentinel-2": side, "landsat": side // 3, "modis": side // 48}
    return {name: torch.randn(samples, FRAMES, SOURCES[name], own, own) for name, own in sides.items()}


def config(pixel_decoder: PixelDecoderConfig | None, frames: int = FRAMES) -> AgriFMConfig:
    return preset("tiny", SOURCES, classes=5, frames=frames).model_copy(update={"pixel_decoder": pixel_decoder})


@pytest.fixture(scope="module", params=[FIRST, PixelDecoderConfig()], ids=["first", "of the presets"])
def model(request: pytest.FixtureRequest) -> AgriFM:
    torch.manual_seed(0)
    return AgriFM(config(request.param)).eval()


def test_it_scores_every_target_pixel_and_its_config_goes_to_json_and_back(model: AgriFM) -> None:
    assert model(images()).shape == (2, 5, 48, 48)
    assert AgriFMConfig.model_validate_json(model.config.model_dump_json()) == model.config


def test_the_released_decoder_stays_where_the_length_is_open_and_in_base() -> None:
    assert preset("tiny", SOURCES, classes=5).pixel_decoder is None
    assert preset("base", {"sentinel-2": 10}, classes=5, frames=32).pixel_decoder is None


def test_one_sample_does_not_depend_on_the_others(model: AgriFM) -> None:
    many = images(samples=3)
    model.train()  # batch statistics would show here
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout) or type(module).__name__ == "DropPath":
            module.eval()
    with torch.no_grad():
        together = model(many)[1:2]
        alone = model({name: image[1:2] for name, image in many.items()})
    model.eval()
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-5)


def test_it_sees_single_pixels_and_what_lies_far_away(model: AgriFM) -> None:
    """A change of one pixel shows most in that pixel; through the encoder it also shows beyond the decoder's reach."""
    before = images(samples=1)
    after = {name: image.clone() for name, image in before.items()}
    after["sentinel-2"][..., 10, 20] += 3
    with torch.no_grad():
        change = (model(after) - model(before)).abs().sum(dim=1)[0]
    assert change.argmax().item() == 10 * 48 + 20
    assert change[10, 44] > 0
    assert change[40, 20] > 0


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_reaches_the_scores_by_both_ways(model: AgriFM, source: str) -> None:
    content = images(samples=1)
    content[source].requires_grad_()
    features = model.encoders(content)
    features[source].encoder_features.retain_grad()
    model.decoder(features, content, (48, 48)).sum().backward()
    assert content[source].grad is not None
    assert content[source].grad.abs().sum() > 0
    gradient = features[source].encoder_features.grad
    assert gradient is not None
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize(("name", "sources", "side"), [("tiny", SOURCES, 48), ("small", {"sentinel-2": 10}, 128)])
def test_it_has_an_eighth_of_the_multiply_adds_of_the_released_decoder(
    name: str, sources: dict[str, int], side: int
) -> None:
    """On the same encoder and the demo's 24 frames."""
    pixel_decoder = preset(name, sources, classes=12, frames=24)
    released = pixel_decoder.model_copy(update={"pixel_decoder": None})
    costs = [forward_multiply_adds(one, 24, side) for one in (pixel_decoder, released)]
    assert costs[0].encoders == costs[1].encoders
    assert 8 * costs[0].decoder <= costs[1].decoder


def test_its_parts_are_counted_as_by_hand() -> None:
    """48 x 48 target pixels, 24 frames; Landsat has 16 pixels a side, MODIS one. The coarsest level comes first."""
    values = 10 * 48**2 + 6 * 16**2 + 7
    detail = 6 * 24 * values + 112 * 6 * values
    joined = 48**2 * (112 * 48 + 25 * 48 + 48 * 48 + 48 * 5)
    widths, features, sides = (64, 64, 48, 32), (128, 64, 32, 16), (2, 3, 6, 12)
    refined = sum(9 * width**2 * side**2 for width, side in zip(widths, sides, strict=True))
    # between levels, and from the last to what is joined
    risen = 2**2 * 64 * 64 + 3**2 * 64 * 48 + 6**2 * 48 * 32 + 12**2 * 32 * 48
    tokens = [own**2 + landsat**2 + 1 for own, landsat in zip(sides, (1, 2, 4, 8), strict=True)]
    projected = sum(n * f * w for n, f, w in zip(tokens, features, widths, strict=True))
    assert (
        forward_multiply_adds(config(PixelDecoderConfig(), 24), 24, 48).decoder
        == detail + joined + refined + risen + projected
    )


def test_records_that_call_it_lean_build_the_same_network() -> None:
    saved = config(FIRST).model_dump(mode="json")
    saved["lean"] = saved.pop("pixel_decoder")
    assert AgriFMConfig.model_validate(saved) == config(FIRST)


def test_a_basis_of_as_many_functions_as_frames_is_the_series_itself() -> None:
    torch.testing.assert_close(triangular_basis(8, 8).detach(), torch.eye(8))


def test_a_series_between_two_times_is_described_by_both() -> None:
    """Five frames, three functions: frames 1 and 3 lie half way between those of the functions."""
    rows = torch.tensor([[1, 0.5, 0, 0, 0], [0, 0.5, 1, 0.5, 0], [0, 0, 0, 0.5, 1]])
    norms = torch.tensor([[1.25], [1.5], [1.25]]).sqrt()
    torch.testing.assert_close(triangular_basis(3, 5).detach(), rows / norms)


def test_another_length_is_refused(model: AgriFM) -> None:
    wrong = {name: image[:, 1:] for name, image in images().items()}
    with pytest.raises(ModelError, match=r"7 frames.* 8"):
        model(wrong)


def test_an_open_length_or_concatenation_is_refused() -> None:
    config = preset("tiny", SOURCES, classes=5, frames=FRAMES)
    open_length = [{**source.model_dump(), "frames": None} for source in config.sources]
    with pytest.raises(ValueError, match="number of frames"):
        AgriFMConfig.model_validate({**config.model_dump(), "sources": open_length})
    with pytest.raises(ValueError, match="`mean` fusion"):
        AgriFMConfig.model_validate(
            {**config.model_dump(), "encoder": {**config.encoder.model_dump(), "fusion": "cat"}}
        )
