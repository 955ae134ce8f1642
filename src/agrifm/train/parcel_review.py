"""Likely wrong labels of parcels on a cube: extra trees on pixels of other blocks, and the mean of a parcel's pixels.

Shape letters: N pixels, P parcels or points, K classes.
"""

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.classics import candidate_parts, fit_classic
from agrifm.classic.features import Columns
from agrifm.classic.forest import draw_pixels
from agrifm.config import Project
from agrifm.cube.store import open_cube
from agrifm.errors import LabelError
from agrifm.legend import UNLABELLED, Legend
from agrifm.samples.folds import divide_blocks
from agrifm.train.data import Data, prepare, project_labels, read_pixel_features
from agrifm.train.label_review import FOLDS, Review, judge
from agrifm.work import progress


def review_parcels(
    project: Project, judging: str, seed: int = 0
) -> tuple[Review, NDArray[np.intp], Legend, NDArray[np.uint8]]:
    """Judge the labels of the parcels and points that cover a pixel of the project's cube.

    Blocks are divided into folds, and each is judged by a classic model of drawn pixels of all others; labels of other
    land help to train it and are not judged.

    Args:
        judging: name of the classic model.

    Returns:
        The review of the places, the row of each in the file of labels (from 0), the legend, and class numbers (P,).

    Raises:
        LabelError: the labels cannot be read or divided, or are a raster.
        CubeError: there is no finished cube.
    """
    cube = open_cube(project.source)
    labels = project_labels(project, cube)
    if "row" not in labels.places:
        raise LabelError(
            "reviewing labels: a raster has no parcels; give polygons or points as `file` under [labels]",
            file=project.labels.file,
        )
    data = prepare(cube, labels, project.labels.block, project.model.model_copy(update={"names": (judging,)}))
    probability = _out_of_fold(data, project, judging, seed)
    number = labels.places["number"].to_numpy(np.uint8)
    return judge(probability, number), labels.places["row"].to_numpy(np.intp), labels.legend, number


def _out_of_fold(data: Data, project: Project, judging: str, seed: int) -> NDArray[np.float32]:
    """Mean probabilities (P, K) of the drawn pixels of each place, of models of other blocks; NaN without any pixel."""
    labels, split, parts = data.labels, data.split, candidate_parts(judging)
    drawn = draw_pixels(labels.label, labels.place, split.block, seed)
    rows, pixels = read_pixel_features(data, drawn, project.model.side, parts)
    columns = Columns(tuple(data.cube.inputs[sensor.sensor] for sensor in data.sensors), project.model.frames, parts)
    label, place, block = labels.label.ravel()[pixels], labels.place.ravel()[pixels], split.block.ravel()[pixels]
    assert not (label == UNLABELLED).any(), "only labelled pixels are drawn"
    folds = max(2, min(FOLDS, len(np.unique(block))))
    fold = divide_blocks(block, label, len(labels.legend), folds, seed)
    total = np.zeros((len(labels.places), len(labels.legend)), np.float64)
    count = np.zeros(len(labels.places))
    with progress("review labels (folds)", folds) as advance:
        for number in range(folds):
            here = np.flatnonzero((fold == number) & (place >= 0))
            others = fold != number
            model = fit_classic(judging, rows[others], label[others], groups=block[others], seed=seed, columns=columns)
            answers = np.zeros((len(here), len(labels.legend)))
            answers[:, model.classes] = model.probabilities(rows[here])
            np.add.at(total, place[here], answers)
            np.add.at(count, place[here], 1)
            advance(1)
    with np.errstate(invalid="ignore"):
        mean: NDArray[np.float32] = np.where(count[:, None] > 0, total / count[:, None], np.nan).astype(np.float32)
    return mean
