"""Money of a plan, and lists of prices that cannot be used."""

from pathlib import Path

import pytest

from agrifm.errors import ConfigError
from agrifm.plan.forecast import StepForecast
from agrifm.plan.prices import read_prices

GOOD = {"currency": '"EUR"', "per_gb_moved": 0.09, "per_gb_month": 0.02, "per_core_hour": 0.05, "per_request": 4e-7}


def write_prices(folder: Path, **keys: object) -> Path:
    path = folder / "prices.toml"
    path.write_text("\n".join(f"{key} = {value}" for key, value in keys.items()))
    return path


def test_a_step_costs_what_a_hand_computes(tmp_path: Path) -> None:
    """14 GB moved 1.26, 9 GB kept 0.18, two hours of 3 machines with 4 cores 1.20, a million requests 0.40."""
    step = StepForecast("fetch", requests=1_000_000, moved_bytes=14 * 10**9, disk_bytes=9 * 10**9, seconds=7200)
    prices = read_prices(write_prices(tmp_path, **GOOD))
    assert prices.cost(step, cores=4, workers=3) == pytest.approx(1.26 + 0.18 + 1.20 + 0.40)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"per_gb": 1}, "per_gb"),
        ({"per_request": None}, "per_request"),
        ({"per_core_hour": -1}, "per_core_hour"),
        ({"per_gb_month": '"cheap"'}, "per_gb_month"),
    ],
)
def test_a_price_that_is_missing_unknown_or_wrong_is_named(tmp_path: Path, change: dict[str, object], key: str) -> None:
    keys = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    with pytest.raises(ConfigError, match=key) as error:
        read_prices(write_prices(tmp_path, **keys))
    assert error.value.facts["key"] == key


@pytest.mark.parametrize("content", [None, "currency = ", "\xff"])
def test_a_file_that_is_absent_or_not_toml_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "p.toml"
    if content is not None:
        path.write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError) as error:
        read_prices(path)
    assert error.value.facts["path"] == path
