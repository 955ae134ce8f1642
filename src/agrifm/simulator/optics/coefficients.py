"""The table of all coefficients of the optics: `coefficients.toml`, where each stands with its source."""

import tomllib
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray


@lru_cache(maxsize=1)
def coefficients() -> dict[str, dict[str, Any]]:
    """Sections of the table by name."""
    return tomllib.loads(files("agrifm.simulator.optics").joinpath("coefficients.toml").read_text(encoding="utf-8"))


def constant(section: str, name: str) -> float:
    """One number of the table."""
    return float(coefficients()[section][name])


def spectrum(section: str, name: str, wavelengths: Sequence[float]) -> NDArray[np.float64]:
    """A tabled curve at wavelengths in nm, interpolated linearly; beyond its ends it stays as at the end."""
    table = coefficients()[section]
    return np.asarray(np.interp(wavelengths, table["wavelength"], table[name]))
