"""Galileo nano gives the recorded numbers of the released weights, and reads each pixel by itself."""

import numpy as np
import pytest
import torch
from tests.models.released_peers import released_file, released_outputs

from agrifm.errors import ModelError
from agrifm.models.agrifm.timeseries import ObservedSeries
from agrifm.models.encoder_blocks import mean_of_present
from agrifm.models.family import FAMILIES
from agrifm.models.galileo import PRESETS, SPACE_TIME, Galileo, GalileoEncoder, galileo_preset, galileo_statistics
from agrifm.models.weights.released import read_released
from agrifm.record import SensorRecord

COLUMNS = {
    "S1": [0, 1],
    "S2_RGB": [2, 3, 4],
    "S2_Red_Edge": [5, 6, 7],
    "S2_NIR_10m": [8],
    "S2_NIR_20m": [9],
    "S2_SWIR": [10, 11],
    "NDVI": [12],
}
"""Columns of the recorded input by group."""
S2 = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")


def record() -> SensorRecord:
    return SensorRecord(
        sensor="sentinel-2",
        bands=S2,
        quantity="surface reflectance",
        scale=1e-4,
        resolution=10,
        mean=(0.0,) * 10,
        std=(1.0,) * 10,
    )


def test_recorded_tokens_and_vectors_of_the_released_weights_are_reproduced() -> None:
    arrays = {name: torch.from_numpy(array) for name, array in released_outputs("galileo_nano_released").items()}
    encoder = GalileoEncoder(**PRESETS["base"]).eval()
    encoder.load_state_dict(read_released(released_file("galileo_nano_encoder.pt"), FAMILIES["galileo"].released))
    encoder = encoder.double()  # what 32 bits round differs between processors by more than what is asked for here
    value = {name: arrays["in/s_t_x"][..., columns].double() for name, columns in COLUMNS.items()}
    # the mask is per pixel, and the same within a patch of two
    present = {name: arrays["in/s_t_m"][:, ::2, ::2, :, number] == 0 for number, name in enumerate(SPACE_TIME)}
    with torch.no_grad():
        tokens, exists = encoder(value, present, arrays["in/months"], patch=2)
    recorded = arrays["out/space_time_tokens"].flatten(1, 4)
    np.testing.assert_allclose(tokens[exists], recorded[exists], atol=1e-5)
    np.testing.assert_allclose(mean_of_present(tokens, exists), arrays["out/pooled"], atol=1e-5)


def test_the_released_nano_has_as_many_trainable_parameters_as_its_file() -> None:
    encoder = Galileo(galileo_preset("base", [record()], 5, 12, "composites", 365)).encoder
    assert sum(parameter.numel() for parameter in encoder.parameters() if parameter.requires_grad) == 1_036_704


def test_reflectance_becomes_the_numbers_of_the_released_training() -> None:
    """0 at two standard deviations below the mean and 1 as far above: 1395.34 and 917.70 of B02 in 1e-4."""
    (changed,) = galileo_statistics([record()])
    below, above = (
        1e-4 * (1395.3408730676722 - 2 * 917.7041440370853),
        1e-4 * (1395.3408730676722 + 2 * 917.7041440370853),
    )
    assert (below - changed.mean[0]) / changed.std[0] == pytest.approx(0, abs=1e-9)
    assert (above - changed.mean[0]) / changed.std[0] == pytest.approx(1)


def test_ndvi_is_that_of_reflectance() -> None:
    """Two pixels with equal normalised numbers in other bands differ by NDVI only through B08 and B04."""
    torch.manual_seed(0)
    network = Galileo(galileo_preset("tiny", [record()], 3, 12, "observed", 60)).eval()
    (statistics,) = galileo_statistics([record()])
    reflectance = torch.full((1, 1, 10, 1, 1), 0.2)
    reflectance[:, :, S2.index("B08")] = 0.6
    mean, std = (torch.tensor(numbers)[:, None, None] for numbers in (statistics.mean, statistics.std))
    seen: list[torch.Tensor] = []
    network.encoder.space_time_embed["NDVI"].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    image = (reflectance - mean) / std
    series = ObservedSeries(image, torch.ones(1, 1, 1, 1, dtype=torch.bool), torch.zeros(1, 1), torch.tensor([60.0]))
    with torch.no_grad():
        network({"sentinel-2": series})
    assert seen[0][0, 0, 0, 0, 0].item() == pytest.approx((0.6 - 0.2) / (0.6 + 0.2), rel=1e-4)


def test_padding_and_pixels_that_are_not_valid_change_nothing() -> None:
    torch.manual_seed(0)
    network = Galileo(galileo_preset("tiny", [record()], 3, 12, "observed", 120)).eval()
    image, day = torch.rand(2, 4, 10, 3, 3), torch.tensor([[0.0, 30.0, 61.0, 95.0]] * 2)
    valid = torch.rand(2, 4, 3, 3) < 0.6
    series = ObservedSeries(image, valid, day, torch.tensor([60.0, 335.0]))
    longer = ObservedSeries(
        torch.cat([torch.where(valid[:, :, None], image, torch.full_like(image, 5.0)), image[:, :1]], dim=1),
        torch.cat([valid, torch.zeros_like(valid[:, :1])], dim=1),
        torch.cat([day, day[:, -1:]], dim=1),
        series.first_day,
    )
    with torch.no_grad():
        torch.testing.assert_close(
            network({"sentinel-2": longer}), network({"sentinel-2": series}), atol=1e-5, rtol=1e-5
        )


def test_series_without_dates_are_refused() -> None:
    with pytest.raises(ModelError) as refused:
        galileo_preset("base", [record()], 3, 12, "interpolated", 120)
    assert refused.value.facts == {"series": "interpolated"}


def test_terrain_becomes_the_numbers_of_the_released_training() -> None:
    """`config/normalization.json` of nasaharvest/galileo: 673.0 m and 5.93 degrees, deviations 983.1 and 8.167."""
    terrain = record().model_copy(
        update={
            "sensor": "terrain", "bands": ("slope", "altitude"), "quantity": "terrain", "mean": (0.0, 0.0),
            "std": (1.0, 1.0),
        }
    )  # fmt: skip
    changed = galileo_statistics([record(), terrain])[1]
    for band, mean, std in ((0, 5.930092668915115, 8.167406789813247), (1, 673.0152819503361, 983.0697298296237)):
        assert (mean - 2 * std - changed.mean[band]) / changed.std[band] == pytest.approx(0, abs=1e-9)
        assert (mean + 2 * std - changed.mean[band]) / changed.std[band] == pytest.approx(1)
    assert galileo_preset("tiny", [record(), terrain], 3, 12, "observed", 60).terrain


def test_a_token_of_terrain_is_its_patch_its_group_and_its_position() -> None:
    """By hand, from the released tensors: of a patch of the kernel's size, a product, the code of the first group of
    space, no time, and the position 0, of which sines are 0 and cosines 1."""
    tensors = read_released(released_file("galileo_nano_encoder.pt"), FAMILIES["galileo"].released)
    encoder = GalileoEncoder(**PRESETS["base"]).eval()
    encoder.load_state_dict(tensors)
    seen: list[torch.Tensor] = []
    encoder.blocks[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    generator = torch.Generator().manual_seed(0)
    ground = torch.rand(1, 8, 8, 1, 2, generator=generator)
    value = {"S1": torch.rand(1, 8, 8, 3, 2, generator=generator), "SRTM": ground}
    present = {"S1": torch.ones(1, 1, 1, 3, dtype=torch.bool), "SRTM": torch.ones(1, 1, 1, 1, dtype=torch.bool)}
    with torch.no_grad():
        _, exists = encoder(value, present, torch.tensor([[3, 4, 5]]), patch=8)
    assert exists.shape == (1, 4)
    kernel, bias = tensors["space_embed.SRTM.proj.weight"], tensors["space_embed.SRTM.proj.bias"]
    product = (kernel * ground[0, :, :, 0].permute(2, 0, 1)).sum(dim=(1, 2, 3)) + bias
    position = torch.tensor([0.0, 1.0, 0.0, 1.0]).repeat_interleave(8)
    code = torch.cat([tensors["sp_channel_embed"][0], torch.zeros(64), position])
    torch.testing.assert_close(seen[0][0, 3], product + code, atol=1e-5, rtol=1e-5)
