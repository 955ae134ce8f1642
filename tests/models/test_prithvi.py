"""Prithvi has the layouts of its releases, reads the clearest frame of each part, and refuses what does not fit."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.models.released_peers import pretend_released

from agrifm.errors import ModelError
from agrifm.models.agrifm.timeseries import ObservedSeries
from agrifm.models.family import FAMILIES
from agrifm.models.prithvi import (
    LAYOUTS,
    Prithvi,
    PrithviConfig,
    PrithviEncoder,
    chosen_frames,
    grid_positions,
    prithvi_preset,
    prithvi_statistics,
)
from agrifm.models.weights.released import read_released
from agrifm.record import SensorRecord
from agrifm.train.peers import initial_peer

SIX = ("B02", "B03", "B04", "B8A", "B11", "B12")


def record(sensor: str = "hls-s30", bands: tuple[str, ...] = SIX[::-1]) -> SensorRecord:
    return SensorRecord(
        sensor=sensor,
        bands=bands,
        quantity="surface reflectance",
        scale=1e-4,
        resolution=30,
        mean=(0.0,) * len(bands),
        std=(1.0,) * len(bands),
    )


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_have_the_parameters_that_their_facts_give(name: str) -> None:
    """Width, depth and patch of the papers.

    A block has 12 width² + 13 width numbers (query, key, value, projection, two layers of the perceptron, and two
    normalisations); then there are six bands of a patch, a class token, and a normalisation at the end.
    """
    width, depth, patch = {
        "Prithvi-EO-1.0-100M": (768, 12, 16),
        "Prithvi-EO-2.0-300M": (1024, 24, 16),
        "Prithvi-EO-2.0-600M": (1280, 32, 14),
    }[name]
    layout = LAYOUTS[name]
    with torch.device("meta"):
        encoder = PrithviEncoder(layout["dim"], layout["depth"], layout["heads"], layout["patch"])
    found = sum(parameter.numel() for parameter in encoder.parameters())
    assert found == depth * (12 * width**2 + 13 * width) + (6 * patch**2 + 1) * width + width + 2 * width
    assert (
        round(found / 1e6) == {"Prithvi-EO-1.0-100M": 86, "Prithvi-EO-2.0-300M": 304, "Prithvi-EO-2.0-600M": 631}[name]
    )


def test_positions_are_those_of_a_grid_of_sines_and_cosines() -> None:
    """Jakubik et al. 2023: 3D sines and cosines, here by numpy; width and height have 6/16 each, time 4/16."""
    dim, (frames, height, width) = 32, (2, 3, 4)
    expected = np.zeros((frames, height, width, dim))
    for (f, h, w), _ in np.ndenumerate(expected[..., 0]):
        parts = []
        for position, share in ((w, 6), (h, 6), (f, 4)):
            size = share * dim // 16
            angle = position / 10_000 ** (2 * np.arange(size // 2) / size)
            parts += [np.sin(angle), np.cos(angle)]
        expected[f, h, w] = np.concatenate(parts)
    np.testing.assert_allclose(grid_positions(frames, height, width, dim), expected.reshape(-1, dim), atol=1e-6)


def test_of_each_part_the_clearest_frame_is_read_and_the_middle_among_equals() -> None:
    image = torch.arange(6.0).reshape(1, 6, 1, 1, 1).expand(1, 6, 1, 2, 2)
    valid = torch.ones(1, 6, 2, 2, dtype=torch.bool)
    valid[0, 0, 0, 0] = False  # of the first part, frame 1 is clearer than frame 0
    series = ObservedSeries(image, valid, torch.arange(6.0)[None], torch.tensor([60.0]))
    assert chosen_frames(series, 3)[0, :, 0, 1, 1].tolist() == [1, 2, 4]
    assert chosen_frames(image, 3)[0, :, 0, 1, 1].tolist() == [0, 2, 4]
    assert chosen_frames(series, 2)[0, :, 0, 1, 1].tolist() == [1, 4]


def test_bands_are_read_by_name_with_the_published_statistics() -> None:
    config = prithvi_preset("tiny", [record()], 3, 12, "composites", 200)
    assert config.bands == (5, 4, 3, 2, 1, 0)
    (changed,) = prithvi_statistics(config, [record()])
    assert changed.mean[5] == pytest.approx(0.077523)  # blue, 775.23 of 10,000
    torch.manual_seed(0)
    network, image = Prithvi(config).eval(), torch.rand(1, 3, 6, 8, 8)
    straight = prithvi_preset("tiny", [record(bands=SIX)], 3, 12, "composites", 200)
    torch.manual_seed(0)
    with torch.no_grad():
        assert torch.equal(network({"hls-s30": image}), Prithvi(straight).eval()({"hls-s30": image.flip(2)}))


@pytest.mark.parametrize("sides", [(8, 8), (10, 7), (1, 1)])
def test_windows_of_any_size_have_scores_for_their_pixels(sides: tuple[int, int]) -> None:
    config = prithvi_preset("tiny", [record()], 3, 12, "composites", 200)
    with torch.no_grad():
        logits = Prithvi(config).eval()({"hls-s30": torch.rand(2, 4, 6, *sides)})
    assert logits.shape == (2, 3, *sides)
    assert logits.isfinite().all()


@pytest.mark.parametrize(
    ("sensor", "frames", "series", "facts"),
    [
        (record("modis", ("B01", "B02")), 12, "composites", {"sensor": "modis", "bands": ()}),
        (record("sentinel-2", SIX[:4]), 12, "composites", {"sensor": "sentinel-2", "bands": ("B11", "B12")}),
        (record(), 2, "composites", {"frames": 2, "series": "composites"}),
        (record(), 12, "observed", {"frames": 12, "series": "observed"}),
    ],
)
def test_bands_and_frames_that_do_not_fit_are_refused(
    sensor: SensorRecord, frames: int, series: str, facts: dict[str, object]
) -> None:
    with pytest.raises(ModelError) as refused:
        prithvi_preset("base", [sensor], 3, frames, series, 200)
    assert refused.value.facts == facts


@pytest.mark.parametrize("prefix", ["", "encoder."])
def test_a_file_with_the_released_names_loads(prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1.0 has bare names, 2.0 those of an encoder; both have a decoder and positions, which are not read."""
    small = {"version": 2, "frames": 4, "patch": 4, "dim": 32, "depth": 1, "heads": 2}
    monkeypatch.setitem(LAYOUTS, "small", small)
    state = pretend_released(PrithviEncoder(32, 1, 2, 4), tmp_path / "p.pt", prefix)
    others = (f"{prefix}pos_embed", "decoder.mask_token", "decoder_embed.weight", f"{prefix}temporal_embed_enc.scale")
    torch.save({**state, **dict.fromkeys(others, torch.zeros(1))}, tmp_path / "p.pt")
    config = prithvi_preset("base", [record()], 3, 12, "composites", 200)
    network, _ = initial_peer(FAMILIES["prithvi"], config, tmp_path / "p.pt", 12, False, (0, 0))
    assert isinstance(network.config, PrithviConfig)
    assert {name: getattr(network.config, name) for name in small} == small
    assert all(torch.equal(tensor, state[f"{prefix}{name}"]) for name, tensor in network.encoder.state_dict().items())
    with pytest.raises(ModelError) as refused:  # four frames from a season of three
        initial_peer(FAMILIES["prithvi"], config, tmp_path / "p.pt", 3, False, (0, 0))
    assert refused.value.facts == {"frames": 3, "series": "composites"}


def test_weights_of_another_width_are_refused(tmp_path: Path) -> None:
    pretend_released(PrithviEncoder(32, 1, 2, 4), tmp_path / "p.pt")
    with pytest.raises(ModelError) as refused:
        read_released(tmp_path / "p.pt", FAMILIES["prithvi"].released)
    assert refused.value.facts == {"width": 32}
