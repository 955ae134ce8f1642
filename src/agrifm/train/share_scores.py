"""Shares of classes in pixels as models estimate them, and their scores on unseen blocks.

Shape letters: P pixels, K classes, H rows, W columns, D bootstrap samples.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from agrifm.legend import UNLABELLED
from agrifm.samples.split import FOLDS, Split
from agrifm.scores import draw_blocks, with_intervals

if TYPE_CHECKING:
    from agrifm.samples.share_labels import ShareLabels

MEAN, NEAR = "mean", "near"
"""Names of the naive estimates: the mean shares of the training pixels, and those of the nearest ones."""
NEIGHBOURS = 8
"""Nearest training pixels of the estimate `near`, each weighted by its inverse squared distance."""
DRAWS = 2000
SHARE_SCORES = ("mae", "rmse", "r2")
"""Scores over all classes, and of each one, that have an interval over blocks; a class also has its hectares."""
Floats = NDArray[np.float64]


class PixelShares(NamedTuple):
    """Pixels of a fold with their shares, true and estimated."""

    pixel: NDArray[np.int64]
    """(P,), index in the flattened grid."""
    block: NDArray[np.int64]
    hectares: Floats
    """(P,), of the pixel."""
    true: Floats
    """(P, K), sum 1."""
    estimate: Floats

    @property
    def numbers(self) -> NDArray[np.int64]:
        """What tells the pixels apart."""
        return self.pixel

    def of(self, chosen: NDArray[np.bool_]) -> "PixelShares":
        """Return some of the pixels (P,)."""
        pixel, block = self.pixel[chosen], self.block[chosen]
        return PixelShares(pixel, block, self.hectares[chosen], self.true[chosen], self.estimate[chosen])

    def whole(self) -> "PixelShares":
        """Return the same pixels as a map of classes has them: each wholly of the class of its largest share."""
        largest = self.estimate.argmax(axis=1)
        return self._replace(estimate=np.eye(self.estimate.shape[1])[largest])


def pixel_shares(maps: NDArray[np.floating], known: "ShareLabels", split: Split, fold: str) -> PixelShares:
    """Return the pixels of a fold that were observed.

    Args:
        maps: estimated shares (K, H, W); NaN where nothing was observed.
    """
    labels = known.labels
    used = (split.fold == FOLDS.index(fold)) & (labels.label != UNLABELLED) & ~np.isnan(maps[0])
    pixel = np.flatnonzero(used)
    hectares = np.repeat(labels.grid.pixel_hectares(), labels.grid.shape[1])[pixel]
    true, estimate = (one.reshape(len(one), -1)[:, pixel].T.astype(np.float64) for one in (known.shares, maps))
    return PixelShares(pixel, split.block.ravel()[pixel].astype(np.int64), hectares, true, estimate)


def mean_shares(training: PixelShares, pixels: PixelShares) -> PixelShares:
    """Return pixels with the naive estimate, the mean shares of the training pixels."""
    return pixels._replace(estimate=np.broadcast_to(training.true.mean(axis=0), pixels.true.shape).copy())


def near_shares(training: PixelShares, pixels: PixelShares, width: int) -> PixelShares:
    """Return pixels with the shares of the nearest training pixels, by inverse squared distance (Shepard 1968).

    Args:
        width: columns of the grid.
    """
    places, wanted = (np.stack(np.divmod(one.pixel, width), axis=1) for one in (training, pixels))
    count = min(NEIGHBOURS, len(places))
    distance, index = cKDTree(places).query(wanted, k=count)
    distance, index = distance.reshape(-1, count), index.reshape(-1, count)
    weight = 1 / np.maximum(distance, 1e-9) ** 2
    estimate = np.einsum("pn,pnk->pk", weight / weight.sum(axis=1, keepdims=True), training.true[index])
    return pixels._replace(estimate=estimate)


def share_scores(pixels: PixelShares, codes: Sequence[str]) -> dict[str, Any]:
    """Return the scores of estimates on unseen pixels, with 95 % intervals over blocks.

    Errors are of shares, 0..1; over all classes they are means over classes, and R² is that of all numbers around the
    mean share of each class. Hectares are sums of share times hectares of the pixel, and their bias is estimate minus
    truth. `whole` has the same of a map of classes, in which each pixel is wholly of the class of its largest share.
    """
    sums, whole = _block_sums(pixels), _block_sums(pixels.whole())
    draws = draw_blocks(len(sums), DRAWS)
    result: dict[str, Any] = {"pixels": len(pixels.pixel), "hectares": float(pixels.hectares.sum())}
    result |= with_intervals(_overall(sums.sum(axis=0)), _overall(np.tensordot(draws, sums, 1)), SHARE_SCORES)
    result["whole"] = {name: float(one) for name, one in _overall(whole.sum(axis=0)).items() if name != "r2"}
    found, drawn = _per_class(sums.sum(axis=0)), _per_class(np.tensordot(draws, sums, 1))
    of_whole = _per_class(whole.sum(axis=0))
    result["classes"] = {}
    for number, code in enumerate(codes):
        entry, many = ({key: one[..., number] for key, one in scores.items()} for scores in (found, drawn))
        result["classes"][code] = {
            **with_intervals(entry, many, (*SHARE_SCORES, "bias", "bias_hectares")),
            "true_hectares": float(entry["true_hectares"]),
            "estimated_hectares": float(entry["true_hectares"] + entry["bias_hectares"]),
            "whole_hectares": float(of_whole["true_hectares"][number] + of_whole["bias_hectares"][number]),
        }
    # of each class the hectares that are too many or too few, half of which are those of the wrong class
    for name, scores in (("displaced_hectares", found), ("whole_displaced_hectares", of_whole)):
        result[name] = float(np.abs(scores["bias_hectares"]).sum() / 2)
    return result


def error_difference(first: PixelShares, second: PixelShares) -> dict[str, Any]:
    """Return the first error minus the second, root mean square and mean absolute, with intervals over blocks."""
    assert np.array_equal(first.pixel, second.pixel), "both estimate the same pixels"
    both = [_block_sums(one) for one in (first, second)]
    draws = draw_blocks(len(both[0]), DRAWS)
    found, drawn = (
        [_overall(np.tensordot(weights, sums, 1)) for sums in both] for weights in (np.ones(len(both[0])), draws)
    )
    names = ("rmse", "mae")
    difference, many = ({name: one[0][name] - one[1][name] for name in names} for one in (found, drawn))
    return with_intervals(difference, many, names)


def _block_sums(pixels: PixelShares) -> Floats:
    """Sums of each block (blocks, 8, K).

    They are pixels, |error|, error², share, share², hectares too many, true hectares, and error.
    """
    _, block = np.unique(pixels.block, return_inverse=True)
    error, hectares = pixels.estimate - pixels.true, pixels.hectares[:, None]
    parts = [np.ones_like(error), np.abs(error), error**2, pixels.true, pixels.true**2]
    parts += [error * hectares, pixels.true * hectares, error]
    result = np.zeros((int(block.max(initial=-1)) + 1, len(parts), error.shape[1]))
    np.add.at(result, block, np.stack(parts, axis=1))
    return result


def _per_class(sums: Floats) -> dict[str, Floats]:
    """Scores of each class (..., K) of sums (..., 8, K)."""
    count, absolute, squares, total, total_squares, bias, hectares, error = np.moveaxis(np.asarray(sums), -2, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = total_squares - total**2 / count
        return {
            "mae": absolute / count,
            "rmse": np.sqrt(squares / count),
            "r2": np.where(variance > 1e-9, 1 - squares / variance, np.nan),
            "bias": error / count,
            "bias_hectares": bias,
            "true_hectares": hectares,
        }


def _overall(sums: Floats) -> dict[str, Floats]:
    """Scores over all classes (...) of sums (..., 8, K)."""
    count, absolute, squares, total, total_squares, _, _, _ = np.moveaxis(np.asarray(sums), -2, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = (total_squares - total**2 / count).sum(axis=-1)
        return {
            "mae": (absolute / count).mean(axis=-1),
            "rmse": np.sqrt((squares / count).mean(axis=-1)),
            "r2": np.where(variance > 1e-9, 1 - squares.sum(axis=-1) / variance, np.nan),
        }
