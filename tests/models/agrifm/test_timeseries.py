"""Dates and validity: they begin as nothing, hide what stands in invalid pixels, and are learned."""

from datetime import date

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agrifm.errors import ModelError
from agrifm.models.agrifm.network import AgriFM, AgriFMConfig, preset
from agrifm.models.agrifm.swin3d import SwinConfig, time_weights
from agrifm.models.agrifm.timeseries import DATE_FEATURES, ObservedSeries, day_features, valid_shares

SOURCES = {"sentinel-2": 10, "landsat": 6, "modis": 7}
SIDES = {"sentinel-2": 48, "landsat": 16, "modis": 1}
FRAMES = 8


def knowing(config: AgriFMConfig, **changes: object) -> AgriFMConfig:
    """The config with dates and validity."""
    encoder = config.encoder.model_copy(update={"dates": True, "validity": True})
    return config.model_copy(update={"encoder": encoder, **changes})


def stirred(model: AgriFM) -> AgriFM:
    """The model with every parameter that starts at zero away from zero."""
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                torch.nn.init.normal_(parameter, std=0.3)
    return model


def build(config: AgriFMConfig) -> AgriFM:
    torch.manual_seed(0)
    return AgriFM(config).eval()


def observed(
    name: str = "sentinel-2", samples: int = 1, frames: int = FRAMES, side: int | None = None, seed: int = 0
) -> ObservedSeries:
    """A cloudy series with irregular dates; MODIS has a day for each pixel."""
    generator = torch.Generator().manual_seed(seed)
    side = SIDES[name] if side is None else side
    shape = (samples, frames, side, side)
    valid = torch.rand(shape, generator=generator) > 0.4
    valid[:, :: max(2, frames // 3)] = False  # frames without a usable pixel
    day = torch.randint(0, 300, (samples, frames), generator=generator).sort(dim=1).values.float()
    if name == "modis":
        day = day[:, :, None, None] + torch.randint(0, 8, shape, generator=generator)
    image = torch.randn(samples, frames, SOURCES[name], side, side, generator=generator)
    return ObservedSeries(image, valid, day, torch.full((samples,), 60.0))


SMALL = knowing(preset("tiny", SOURCES, classes=3, frames=FRAMES))


@pytest.fixture(scope="module")
def model() -> AgriFM:
    return stirred(build(SMALL))


def test_features_of_dates_are_angles_of_the_year_and_of_the_season() -> None:
    first = date(2024, 3, 1)
    day = (date(2024, 7, 1) - first).days
    found = day_features(torch.tensor([[float(day)]]), torch.tensor([float(first.timetuple().tm_yday)]))
    assert found.shape == (1, 1, DATE_FEATURES)
    of_year = 2 * torch.pi * date(2024, 7, 1).timetuple().tm_yday / 365.25
    torch.testing.assert_close(found[0, 0, 0], torch.tensor(of_year).sin())
    torch.testing.assert_close(found[0, 0, DATE_FEATURES // 2 + 1], torch.tensor(2 * of_year).cos())
    torch.testing.assert_close(found[0, 0, 4], torch.tensor(2 * torch.pi * day / 360).sin())


@pytest.mark.parametrize(("frames", "side"), [(8, 8), (5, 7), (1, 1), (3, 9)])
def test_shares_count_the_pixels_that_are_there(frames: int, side: int) -> None:
    series = observed(frames=frames, side=side)
    by_frame, by_token = valid_shares(series, (4, 2, 2))
    valid = series.valid[0].double()
    for d in range(-(-frames // 4)):
        for h in range(-(-side // 2)):
            for w in range(-(-side // 2)):
                place = (slice(2 * h, 2 * h + 2), slice(2 * w, 2 * w + 2))
                own = valid[4 * d : 4 * d + 4, *place]
                assert by_token[0, d, h, w].item() == pytest.approx(own.mean().item())
                for p in range(own.shape[0]):
                    assert by_frame[0, 4 * d + p, h, w].item() == pytest.approx(own[p].mean().item())
    assert not by_frame[:, frames:].any()


def test_merged_frames_are_weighted_by_their_shares_of_usable_pixels() -> None:
    share = torch.tensor([1.0, 0.5, 0.0, 0.0, 0.25])[None, :, None, None]
    weight, merged = time_weights(share, 2)
    torch.testing.assert_close(weight.flatten(), torch.tensor([4 / 3, 2 / 3, 1, 1, 1]), atol=1e-5, rtol=0)
    torch.testing.assert_close(merged.flatten(), torch.tensor([0.75, 0, 0.25]))
    alike, _ = time_weights(torch.full((1, 5, 1, 1), 0.4), 2)
    torch.testing.assert_close(alike, torch.ones(1, 5, 1, 1))


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("pixel_decoder", [True, False])
def test_everything_starts_as_the_plain_series(shared: bool, pixel_decoder: bool) -> None:
    """With all pixels valid the numbers are those of the plain network with the same weights, whatever the dates."""
    plain_config = preset("tiny", SOURCES, classes=3, frames=FRAMES if pixel_decoder else None, season_days=FRAMES)
    plain_config = plain_config.model_copy(update={"shared": shared})
    plain, new = build(plain_config), build(knowing(plain_config))
    missing = new.load_state_dict(plain.state_dict(), strict=False)
    assert not missing.unexpected_keys
    assert all(".code." in name for name in missing.missing_keys)
    images = {name: torch.randn(2, FRAMES, SOURCES[name], side, side) for name, side in SIDES.items()}
    steps = torch.arange(FRAMES).expand(2, -1).float()
    series = {
        name: ObservedSeries(image, torch.ones(2, FRAMES, *image.shape[-2:]).bool(), steps, torch.tensor([60.0, 200.0]))
        for name, image in images.items()
    }
    with torch.no_grad():
        torch.testing.assert_close(new(series), plain(images), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("filling", [0.0, 1e30, -7.5, float("inf"), float("nan")])
def test_the_content_of_invalid_pixels_does_not_matter(model: AgriFM, filling: float) -> None:
    series = {name: observed(name, samples=2) for name in SOURCES}
    with torch.no_grad():
        expected = model(series)
        for name, own in series.items():
            image = torch.where(own.valid[:, :, None], own.image, torch.tensor(filling))
            changed = model({**series, name: own._replace(image=image)})
            assert torch.equal(changed, expected)
    assert expected.isfinite().all()


def test_a_token_without_a_usable_pixel_is_not_attended() -> None:
    """Its date, all that is left of it, reaches no other place."""
    config = SMALL.model_copy(update={"pixel_decoder": None, "neck_levels": ((),) * 3, "neck_sources": ("sentinel-2",)})
    config = AgriFMConfig.model_validate(config.model_dump() | {"sources": [SMALL.sources[0].model_dump()]})
    model = stirred(build(config))
    series = observed(side=16)
    valid = torch.ones_like(series.valid)
    valid[:, :4, :4, :4] = False  # all of the first token
    other_days = series.day.clone()
    other_days[:, :4] += 11
    tokens = [
        model.encoders.encoders["sentinel-2"].patch_emd(series._replace(valid=valid, day=day))
        for day in (series.day, other_days)
    ]
    first = [one.grid for one in tokens]
    assert not torch.equal(first[0][:, 0, 1, 1], first[1][:, 0, 1, 1])
    backbone = model.encoders.backbone
    assert backbone is not None
    stage = backbone.layers[0]
    moved = first[0].clone()
    moved[:, 0, 0, 0] += 5.0
    with torch.no_grad():
        before, after = (stage(tokens[0]._replace(grid=grid))[0].grid for grid in (first[0], moved))
    changed = (before - after).abs().amax(dim=-1)[0] > 1e-6
    assert changed[0, 0, 0]
    assert changed.sum() == 1


def test_absent_bands_are_not_seen_and_known_to_be_absent(model: AgriFM) -> None:
    series = {name: observed(name) for name in SOURCES}
    own = series["sentinel-2"]
    absent = torch.zeros(1, 10).bool()
    absent[:, 3] = True
    other = own.image.clone()
    other[:, :, 3] += 4
    with torch.no_grad():
        first, second = (
            model({**series, "sentinel-2": own._replace(absent=absent, image=image)}) for image in (own.image, other)
        )
        filled = own.image.clone()
        filled[:, :, 3] = 0
        unknown = model({**series, "sentinel-2": own._replace(image=filled)})
    assert torch.equal(first, second)
    assert not torch.allclose(first, unknown)


@settings(max_examples=12, deadline=None)
@given(
    frames=st.integers(1, 20),
    rows=st.integers(1, 4),
    present=st.sets(st.sampled_from(list(SOURCES)), min_size=1),
    seed=st.integers(0, 1000),
    shared=st.booleans(),
)
def test_any_length_area_mask_and_subset_gives_finite_scores(
    frames: int, rows: int, present: set[str], seed: int, shared: bool
) -> None:
    model = stirred(build(SMALL.model_copy(update={"shared": shared})))
    sides = {"sentinel-2": 48 * rows, "landsat": 16 * rows, "modis": rows}
    series = {
        name: observed(name, frames=frames + k, side=sides[name], seed=seed) if name in present else None
        for k, name in enumerate(SOURCES)
    }
    with torch.no_grad():
        found = model(series)
        assert found.shape == (1, 3, 48 * rows, 48 * rows)
        assert found.isfinite().all()
        blind = {
            name: None if own is None else own._replace(valid=torch.zeros_like(own.valid))
            for name, own in series.items()
        }
        assert model(blind).isfinite().all()


@pytest.mark.parametrize("size", [1, 5, 30])
@pytest.mark.parametrize("frames", [1, 200])
def test_a_point_and_odd_sizes_have_as_many_scores_as_pixels(size: int, frames: int) -> None:
    model = stirred(build(knowing(preset("tiny", {"sentinel-2": 10}, classes=3, frames=FRAMES))))
    series = observed(frames=frames, side=size)
    assert model({"sentinel-2": series}).shape == (1, 3, size, size)


def test_an_absent_sensor_costs_nothing_and_its_pixels_are_not_asked_for(model: AgriFM) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    series: dict[str, ObservedSeries | None] = {name: observed(name) for name in SOURCES}
    costs = {}
    for absent in (None, *SOURCES):
        own = {name: None if name == absent else one for name, one in series.items()}
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(own)
        costs[absent] = counter.get_total_flops()
    encoders = {}
    for name, one in series.items():
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model.encoders({other: one if other == name else None for other in SOURCES})
        encoders[name] = counter.get_total_flops()
    for name in SOURCES:
        assert costs[None] - costs[name] >= encoders[name] > 0


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"valid": torch.ones(1, FRAMES, 48, 47).bool()}, "`valid`"),
        ({"day": torch.zeros(1, FRAMES - 1)}, "`day`"),
        ({"first_day": torch.zeros(2)}, "`first_day`"),
        ({"absent": torch.zeros(1, 9).bool()}, "`absent`"),
    ],
)
def test_series_of_the_wrong_shape_are_refused(model: AgriFM, change: dict[str, torch.Tensor], field: str) -> None:
    series = {name: observed(name) for name in SOURCES}
    with pytest.raises(ModelError, match=field):
        model({**series, "sentinel-2": series["sentinel-2"]._replace(**change)})


def test_sensors_of_different_ground_and_no_sensor_at_all_are_refused(model: AgriFM) -> None:
    series = {name: observed(name) for name in SOURCES}
    with pytest.raises(ModelError, match="the same ground"):
        model({**series, "landsat": observed("landsat", side=15)})
    with pytest.raises(ModelError, match="are absent"):
        model(dict.fromkeys(SOURCES))


def two_classes(samples: int, seed: int) -> tuple[ObservedSeries, torch.Tensor]:
    """Fields of two classes that differ only in the day of their peak, seen on random days."""
    generator = torch.Generator().manual_seed(seed)
    frames, side = 12, 4
    label = torch.randint(0, 2, (samples,), generator=generator)
    peak = torch.where(label == 1, 130.0, 90.0) + 6 * torch.randn(samples, generator=generator)
    # a window of dates that shifts from sample to sample, so that the numbers alone do not tell the peak's day
    start = 100 * torch.rand(samples, 1, generator=generator) - 40
    day = (start + 160 * torch.rand(samples, frames, generator=generator)).clamp(min=0).sort(dim=1).values
    greenness = torch.exp(-(((day - peak[:, None]) / 25) ** 2))
    image = greenness[:, :, None, None, None] + 0.05 * torch.randn(samples, frames, 1, side, side, generator=generator)
    valid = torch.ones(samples, frames, side, side).bool()
    return ObservedSeries(image, valid, day, torch.full((samples,), 60.0)), label


@pytest.mark.check
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_trained_model_needs_the_dates(seed: int) -> None:
    """Shuffling the dates among the frames of each sample costs at least 0.05 macro F1."""
    from sklearn.metrics import f1_score

    torch.manual_seed(seed)
    encoder = SwinConfig(
        embed_dim=16, depths=(2, 2, 2, 2), heads=(1, 2, 4, 8), window=(12, 3, 3), drop_path=0, fusion="mean", dates=True
    )
    source = {"name": "sentinel-2", "channels": 1, "patch": (2, 4, 4)}
    config = AgriFMConfig.model_validate(
        {"sources": [source], "classes": 2, "encoder": encoder, "neck_sources": ["sentinel-2"], "neck_levels": [[]]}
    )
    model = AgriFM(config)
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3)
    series, label = two_classes(512, seed)
    for step in range(120):
        chosen = torch.randperm(512, generator=torch.Generator().manual_seed(step))[:64]
        batch = ObservedSeries(*(part[chosen] for part in series[:4]))
        loss = torch.nn.functional.cross_entropy(model({"sentinel-2": batch}).mean(dim=(2, 3)), label[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()
    unseen, truth = two_classes(256, seed + 1000)
    shuffle = torch.rand(256, 12, generator=torch.Generator().manual_seed(seed)).argsort(dim=1)
    scores = []
    for day in (unseen.day, unseen.day.gather(1, shuffle)):
        with torch.no_grad():
            predicted = model({"sentinel-2": unseen._replace(day=day)}).mean(dim=(2, 3)).argmax(dim=1)
        scores.append(f1_score(truth.numpy(), predicted.numpy(), average="macro"))
    assert scores[0] > 0.8
    assert scores[0] - scores[1] >= 0.05
