"""Presto gives the recorded numbers of the released weights; masks, months and places are those of the observations."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.released_peers import released_file, released_outputs
from tests.samples.tables import series_table
from tests.test_table_sensors import write_table
from tests.toy import toy_project

from agrifm.config import read_project
from agrifm.errors import ModelError
from agrifm.inference.tensors import tensor_batch
from agrifm.models.agrifm.timeseries import ObservedSeries
from agrifm.models.classifier import Classifier
from agrifm.models.family import FAMILIES
from agrifm.models.monthly import MonthlyGroups, unit_vectors
from agrifm.models.presto import PRESETS, Presto, PrestoEncoder, presto_preset, presto_statistics
from agrifm.models.weights.file import load_network
from agrifm.models.weights.released import read_released
from agrifm.record import SensorRecord
from agrifm.samples.project_table import project_table
from agrifm.samples.table_samples import TableSamples
from agrifm.train.peers import initial_peer
from agrifm.train.run import train
from agrifm.train.table_folds import table_statistics

COLUMNS = {
    "S1": [0, 1],
    "S2_RGB": [2, 3, 4],
    "S2_Red_Edge": [5, 6, 7],
    "S2_NIR_10m": [8],
    "S2_NIR_20m": [9],
    "S2_SWIR": [10, 11],
    "ERA5": [12, 13],
    "SRTM": [14, 15],
    "NDVI": [16],
}
"""Columns of the recorded input by group."""
S2 = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")


def record(
    sensor: str = "sentinel-2", bands: tuple[str, ...] = S2, quantity: str = "surface reflectance"
) -> SensorRecord:
    zeros, ones = (0.0,) * len(bands), (1.0,) * len(bands)
    return SensorRecord(sensor=sensor, bands=bands, quantity=quantity, scale=1e-4, resolution=10, mean=zeros, std=ones)


def observed(image: torch.Tensor, day: torch.Tensor, first_day: float = 60.0) -> ObservedSeries:
    valid = torch.ones_like(image[:, :, 0], dtype=torch.bool)
    return ObservedSeries(image, valid, day, torch.full((len(image),), first_day))


@pytest.mark.parametrize(
    ("output", "masked"), [("out/pooled_nothing_masked", False), ("out/pooled_s1_era5_srtm_masked", True)]
)
def test_recorded_vectors_of_the_released_weights_are_reproduced(output: str, masked: bool) -> None:
    arrays = {name: torch.from_numpy(array) for name, array in released_outputs("presto_released").items()}
    tensors = read_released(released_file("presto.pt"), FAMILIES["presto"].released)
    encoder = PrestoEncoder(**PRESETS["base"]).eval()
    encoder.load_state_dict(tensors)
    hidden = arrays["in/mask"] if masked else torch.zeros_like(arrays["in/mask"])
    value = {name: arrays["in/x"][..., columns] for name, columns in COLUMNS.items()}
    present = {name: hidden[..., columns].amax(dim=-1) == 0 for name, columns in COLUMNS.items()}
    value["SRTM"], present["SRTM"] = value["SRTM"][:, :1], present["SRTM"][:, :1]
    month = (arrays["in/month"][:, None] + torch.arange(12)) % 12
    place = unit_vectors(arrays["in/latlons"])
    with torch.no_grad():
        found = encoder(MonthlyGroups(value, present, month), place)
    np.testing.assert_allclose(found, arrays[output], atol=1e-5)


def test_fixed_codes_are_those_of_the_released_file() -> None:
    """The file has them, so that a network without it must make the same."""
    tensors = read_released(released_file("presto.pt"), FAMILIES["presto"].released)
    made = PrestoEncoder(**PRESETS["base"]).state_dict()
    for name in ("pos_embed", "month_embed.weight"):
        torch.testing.assert_close(made[name], tensors[name], atol=1e-6, rtol=0)


def test_the_base_preset_has_as_many_trainable_parameters_as_published() -> None:
    encoder = Presto(presto_preset("base", [record()], 5, 12, "composites", 365)).encoder
    assert sum(parameter.numel() for parameter in encoder.parameters() if parameter.requires_grad) == 402_240


def tiny(**changes: object) -> Presto:
    torch.manual_seed(0)
    config = presto_preset("tiny", [record()], 3, 12, "observed", 120)
    return Presto(config.model_copy(update=changes)).eval()


def test_a_month_has_the_mean_of_its_observations_whatever_the_order_of_bands() -> None:
    """Two dates in May count as their mean, and bands are found by name."""
    network = tiny(location=(48.0, 2.0))
    image = torch.rand(1, 3, 10, 2, 2) / 2
    day = torch.tensor([[0.0, 62.0, 80.0]])  # 1 March, 2 May, 20 May
    mean = torch.stack([image[:, 0], image[:, 1:].mean(dim=1)], dim=1)
    with torch.no_grad():
        several = network({"sentinel-2": observed(image, day)})
        once = network({"sentinel-2": observed(mean, torch.tensor([[0.0, 70.0]]))})
        june = network({"sentinel-2": observed(mean, torch.tensor([[0.0, 100.0]]))})
        mixed = tiny(location=(48.0, 2.0), sensors={"sentinel-2": S2[::-1]})
        turned = mixed({"sentinel-2": observed(image.flip(2), day)})
    torch.testing.assert_close(several, once)
    torch.testing.assert_close(several, turned)
    assert (once - june).abs().max() > 1e-3


@settings(max_examples=15)
@given(seed=st.integers(0, 999), padding=st.integers(1, 4))
def test_padding_and_pixels_that_are_not_valid_change_nothing(seed: int, padding: int) -> None:
    network = tiny()
    generator = torch.Generator().manual_seed(seed)
    image, day = torch.rand(2, 4, 10, 3, 3, generator=generator), torch.tensor([[0.0, 30.0, 61.0, 95.0]] * 2)
    series = observed(image, day)._replace(valid=torch.rand(2, 4, 3, 3, generator=generator) < 0.6)
    noise = torch.where(series.valid[:, :, None], image, torch.full_like(image, 9.0))
    more = torch.full((2, padding, 10, 3, 3), 7.0)
    longer = series._replace(
        image=torch.cat([noise, more], dim=1),
        valid=torch.cat([series.valid, torch.zeros(2, padding, 3, 3, dtype=torch.bool)], dim=1),
        day=torch.cat([day, day[:, -1:].expand(2, padding)], dim=1),
    )
    with torch.no_grad():
        torch.testing.assert_close(
            network({"sentinel-2": longer}), network({"sentinel-2": series}), atol=1e-5, rtol=1e-5
        )


def test_a_window_and_its_pixels_alone_have_the_same_scores() -> None:
    network = tiny()
    image = torch.rand(1, 4, 10, 3, 2)
    series = observed(image, torch.tensor([[0.0, 30.0, 61.0, 95.0]]))
    with torch.no_grad():
        whole = network({"sentinel-2": series})
        for row in range(3):
            alone = series._replace(image=image[..., row : row + 1, :1], valid=series.valid[..., row : row + 1, :1])
            torch.testing.assert_close(network({"sentinel-2": alone})[..., 0, 0], whole[..., row, 0])


@pytest.mark.parametrize("family", ["presto", "galileo"])
def test_each_sample_has_its_place_and_an_unknown_one_that_of_the_training_area(family: str) -> None:
    torch.manual_seed(0)
    architecture = FAMILIES[family].preset("tiny", [record()], 3, 12, "composites", 120)
    home, far = (48.0, 2.0), (-12.0, -55.0)
    network = FAMILIES[family].network(architecture.model_copy(update={"location": home})).eval()
    elsewhere = FAMILIES[family].network(architecture.model_copy(update={"location": far})).eval()
    elsewhere.load_state_dict(network.state_dict())
    series = observed(torch.rand(3, 2, 10, 1, 1), torch.tensor([[0.0, 40.0]] * 3))
    places = torch.tensor([home, far, (torch.nan, torch.nan)])
    with torch.no_grad():
        found = network({"sentinel-2": series._replace(place=places)})
        at_home, at_far = (one({"sentinel-2": series}) for one in (network, elsewhere))
    assert not torch.allclose(at_home, at_far, atol=1e-4)
    torch.testing.assert_close(found, torch.stack([at_home[0], at_far[1], at_home[2]]))


def test_a_network_that_was_trained_without_places_is_given_none() -> None:
    network = Presto(presto_preset("tiny", [record()], 3, 12, "composites", 120)).eval()
    series = observed(torch.rand(1, 2, 10, 1, 1), torch.tensor([[0.0, 40.0]]))
    with torch.no_grad():
        plain = network({"sentinel-2": series})
        placed = network({"sentinel-2": series._replace(place=torch.tensor([[48.0, 2.0]]))})
    torch.testing.assert_close(placed, plain)


def test_the_places_of_a_table_reach_the_network() -> None:
    table = series_table(6)
    table.lat[1] = np.nan
    samples = TableSamples(table, "composites", 4)
    sensors = table_statistics(table)
    place = tensor_batch([samples[index] for index in range(6)], sensors).place
    assert place is not None
    expected = np.stack([table.lat, table.lon], axis=1)
    expected[1] = np.nan
    np.testing.assert_allclose(place.numpy(), expected, rtol=1e-6)


def test_bands_become_the_numbers_of_the_released_training() -> None:
    """(x + 25) / 25 of decibels, reflectance as it is: `in/x` of the recording is in these numbers."""
    radar = record("sentinel-1", ("VH", "VV"), "backscatter (dB)")
    optical, radar = presto_statistics([record(), radar])
    assert (radar.mean, radar.std) == ((-25.0, -25.0), (25.0, 25.0))
    assert (set(optical.mean), set(optical.std)) == ({0.0}, {1.0})


@pytest.mark.parametrize(
    ("sensors", "series", "days", "facts"),
    [
        ([record("modis", ("B01", "B02"))], "composites", 365, {"sensors": ("modis",)}),
        (
            [record("sentinel-1", ("VV", "VH"), "backscatter (linear)")],
            "composites",
            365,
            {"sensor": "sentinel-1", "quantity": "backscatter (linear)"},
        ),
        ([record()], "interpolated", 365, {"series": "interpolated"}),
        ([record()], "composites", 999, {"days": 999}),
    ],
)
def test_what_it_cannot_read_is_refused(
    sensors: list[SensorRecord], series: str, days: int, facts: dict[str, object]
) -> None:
    with pytest.raises(ModelError) as refused:
        presto_preset("base", sensors, 3, 12, series, days)
    assert refused.value.facts == facts


@pytest.mark.parametrize("frozen", [True, False])
def test_a_network_starts_from_the_released_weights(frozen: bool) -> None:
    file = released_file("presto.pt")
    config = presto_preset("base", [record()], 3, 12, "composites", 120)
    network, start = initial_peer(FAMILIES["presto"], config, file, 12, frozen, (48.0, 2.0))
    assert start["start"]["file"] == "presto.pt"
    tensors = read_released(file, FAMILIES["presto"].released)
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in network.encoder.state_dict().items())
    image = torch.rand(1, 2, 10, 2, 2)
    network.train()({"sentinel-2": observed(image, torch.tensor([[0.0, 40.0]]))}).sum().backward()
    assert network.classify.weight.grad is not None
    assert (network.encoder.norm.weight.grad is None) == frozen


@pytest.mark.check
def test_training_from_a_file_keeps_a_frozen_encoder(tmp_path: Path) -> None:
    file = released_file("presto.pt")
    more = f'series = "composites"\nencoder = "frozen"\nweights = "{file}"'
    project = toy_project(tmp_path, steps=1, names='"presto"', more=more)
    train(project)
    trained, made = load_network(project.models / "presto.safetensors")
    assert made.sensors[0].std == (1.0, 1.0)  # B04 and B08, as the released weights read them
    tensors = read_released(file, FAMILIES["presto"].released)
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in trained.encoder.state_dict().items())


def test_terrain_of_a_table_reaches_the_network_in_the_published_units(tmp_path: Path) -> None:
    """646 m and 3 degrees; the published code divides metres by 2000 and degrees by 50 (nasaharvest/presto, SRTM)."""
    write_table(tmp_path, ["sentinel-1-worldcereal", "terrain"])
    table = project_table(read_project(tmp_path))
    sensors = presto_statistics(table_statistics(table))
    config = presto_preset("tiny", sensors, 2, 8, "observed", 365)
    assert config.terrain
    network, seen = Presto(config).eval(), []
    network.encoder.eo_patch_embed["SRTM"].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    samples = TableSamples(table, "observed", 8)
    images = tensor_batch([samples[0], samples[1]], sensors)
    classifier = Classifier(network, sensors, "observed")
    with torch.no_grad():
        classifier(images)
    torch.testing.assert_close(seen[0], torch.tensor([[[646 / 2000, 3 / 50]]] * 2))


def test_networks_of_older_versions_do_not_read_terrain() -> None:
    network = tiny(sensors={"sentinel-2": S2, "terrain": ("altitude", "slope")})
    assert "SRTM" not in network.places
