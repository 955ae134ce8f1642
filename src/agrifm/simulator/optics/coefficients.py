"""The coefficients of the optics: `coefficients.toml`, a table in which each has its source."""

import tomllib
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray


@lru_cache(maxsize=1)
def read_coefficients() -> dict[str, dict[str, Any]]:
    """Sections of the table by name."""
    return tomllib.loads(files("agrifm.simulator.optics").joinpath("coefficients.toml").read_text(encoding="utf-8"))


def constant(section: str, name: str) -> float:
    """A single number of the table."""
    return float(read_coefficients()[section][name])


def spectrum(section: str, name: str, wavelengths: Sequence[float]) -> NDArray[np.float64]:
    """A curve of the table at wavelengths in nm, interpolated linearly and constant beyond its ends."""
    table = read_coefficients()[section]
    return np.asarray(np.interp(wavelengths, table["wavelength"], table[name]))
