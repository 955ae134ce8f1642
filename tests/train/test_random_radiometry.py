"""Random radiometry: the points of a place keep the same factors."""

import torch

from agrifm.models.batch import TensorBatch
from agrifm.train.random_radiometry import Radiometry, in_other_radiometry

PLACE = torch.tensor([4, 9, 4, 9, 4])


def ones(samples: int = 5, frames: int = 6, bands: int = 3) -> TensorBatch:
    image = torch.ones(samples, frames, bands, 1, 1)
    day = torch.zeros(samples, frames)
    return TensorBatch({"modis": image}, {}, {"modis": day}, torch.ones(samples), {}, {}, torch.zeros(samples, 1, 1))


def test_a_place_has_a_factor_on_each_band_at_all_dates():
    torch.manual_seed(0)
    values = in_other_radiometry(ones(), Radiometry(noise=0), PLACE).images["modis"][..., 0, 0]
    assert torch.equal(values[:, :1].expand_as(values), values)
    assert torch.equal(values[0], values[2])
    assert torch.equal(values[1], values[3])
    assert not torch.equal(values[0], values[1])
    assert len(values[0, 0].unique()) == 3


def test_factors_have_their_standard_deviations():
    torch.manual_seed(0)
    places = torch.arange(4000)
    values = in_other_radiometry(ones(4000, 2, 2), Radiometry(gain=0.2, band_gain=0, noise=0), places).images["modis"]
    assert abs(float(values[:, 0, 0].log().std()) - 0.2) < 0.01
    values = in_other_radiometry(ones(4000, 2, 2), Radiometry(gain=0, band_gain=0, noise=0.05), places).images["modis"]
    # two factors of 5 % each
    assert abs(float(values.std()) - 0.05 * 2**0.5) < 0.003


def test_no_factors_leave_the_values():
    nothing = Radiometry(gain=0, band_gain=0, noise=0)
    assert not nothing.changes
    batch = ones()
    assert torch.equal(in_other_radiometry(batch, nothing, PLACE).images["modis"], batch.images["modis"])
