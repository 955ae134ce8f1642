"""Checks of band order on data: vegetation and soil have known orders of reflectance, so a wrong order shows."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import LabelError

LAND_ORDER = (
    ("B04", "B08"), ("B04", "B8A"), ("B02", "B08"), ("B02", "B8A"), ("B05", "B06"), ("B05", "B07"), ("B12", "B11"),
)  # fmt: skip
"""Pairs of Sentinel-2 bands of which the second reflects more, on the mean over crops and their season: the red edge,
and water and protein in leaves and litter, which absorb more near 2.2 than near 1.6 micrometres (Sentinel-2 bands of
Delegido et al. 2011; Asner 1998)."""


def band_means(values: NDArray[np.float32], valid: NDArray[np.bool_], bands: Sequence[str]) -> dict[str, float]:
    """Return the mean of each band over valid observations; empty if there are none.

    Args:
        values: (..., C).
        valid: (...).
    """
    if not valid.any():
        return {}
    return dict(zip(bands, values[valid].mean(axis=0, dtype=np.float64).tolist(), strict=True))


def require_land_order(
    means: Mapping[str, float], about: str, remedy: str, pairs: Sequence[tuple[str, str]] = LAND_ORDER
) -> None:
    """Refuse bands whose means contradict `LAND_ORDER`: the columns are then in another order.

    Args:
        means: by band name; pairs with an absent band are not checked.

    Raises:
        LabelError: with the pair and its means.
    """
    for darker, brighter in pairs:
        if darker in means and brighter in means and means[darker] >= means[brighter]:
            raise LabelError(
                f"{about}: the column of {darker} reflects {means[darker]:.4g} on the mean and that of {brighter} "
                f"{means[brighter]:.4g}, but over crops {brighter} reflects more, so the columns have another order; "
                f"{remedy}",
                bands=(darker, brighter),
                means=(means[darker], means[brighter]),
            )
