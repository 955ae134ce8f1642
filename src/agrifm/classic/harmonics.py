"""Harmonic regression of irregular series with gaps: the level of a season, and sines and cosines over it.

Shape letters: T dates, P pixels, K coefficients.
"""

import numpy as np
from numpy.typing import NDArray

ORDER = 2
"""Sines and cosines of one period up to this many per season."""
RIDGE = 1e-3
"""Added to the diagonal of the normal equations, as a share of the observations, so that few dates have a solution."""


def harmonic_terms(days: NDArray[np.floating], period: float, order: int = ORDER) -> NDArray[np.float64]:
    """Return the terms (..., 1 + 2 x order) at days since the start: 1, cos, sin, cos of twice the angle ..."""
    angle = 2 * np.pi * np.asarray(days, np.float64)[..., None] / period
    multiples = angle * np.arange(1, order + 1)
    waves = np.stack([np.cos(multiples), np.sin(multiples)], axis=-1).reshape(*multiples.shape[:-1], 2 * order)
    return np.concatenate([np.ones((*waves.shape[:-1], 1)), waves], axis=-1)


def harmonic_coefficients(
    values: NDArray[np.floating],
    valid: NDArray[np.bool_],
    days: NDArray[np.floating],
    period: float,
    order: int = ORDER,
) -> NDArray[np.float32]:
    """Fit level, cosines and sines to the valid observations by least squares with a small ridge on the waves.

    Jakubauskas et al. 2001, equation 1, with coefficients of cosine and sine for amplitude and phase, which are
    continuous where an amplitude is 0.

    Args:
        values: (T, P), finite.
        valid: (T, P), True = usable.
        days: (T, P) or (T,), since the season's start, in any order.
        period: length of the season, days.

    Returns:
        (K, P) in the order of `harmonic_terms`; 0 for a pixel without valid observation.
    """
    count = valid.sum(axis=0)
    if days.ndim == 1 and valid.all():
        terms = harmonic_terms(days, period, order)
        normal = terms.T @ terms + len(days) * RIDGE * _waves_only(order)
        return np.asarray(np.linalg.solve(normal, terms.T).astype(np.float32) @ values, np.float32)
    terms = harmonic_terms(np.broadcast_to(days if days.ndim == 2 else days[:, None], values.shape), period, order)
    terms = np.where(valid[..., None], terms, 0)
    diagonal = count[:, None, None] * RIDGE * _waves_only(order) + (count == 0)[:, None, None] * np.eye(1 + 2 * order)
    normal = np.einsum("tpk,tpl->pkl", terms, terms) + diagonal
    right = np.einsum("tpk,tp->pk", terms, values)
    return np.asarray(np.linalg.solve(normal, right[..., None])[..., 0].T, np.float32)


def _waves_only(order: int) -> NDArray[np.float64]:
    """A diagonal matrix (K, K): the level is not drawn to 0."""
    return np.diag(np.r_[0.0, np.ones(2 * order)])
