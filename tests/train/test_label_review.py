"""Labels that were exchanged are found among those that were not, by models that have not seen their block."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from tests.train.test_table_network import early_and_late

from agrifm.errors import LabelError
from agrifm.legend import UNLABELLED
from agrifm.samples.table import SeriesTable
from agrifm.train.combination import Fitted
from agrifm.train.label_review import judge, review_labels


def learner(training: SeriesTable, validation: SeriesTable, seed: int) -> Fitted:
    """A logistic regression on the values."""

    def rows(table: SeriesTable) -> np.ndarray:
        return table.series["sentinel-2"].values.reshape(len(table), -1)

    model = LogisticRegression(max_iter=500).fit(rows(training), training.label)
    return Fitted(lambda table: model.predict_proba(rows(table)).astype(np.float32))


def test_exchanged_labels_are_ranked_first() -> None:
    table = early_and_late(300, 0)
    wrong = np.zeros(300, bool)
    wrong[np.random.default_rng(0).choice(300, 15, replace=False)] = True
    review = review_labels(
        replace(table, label=np.where(wrong, 1 - table.label, table.label).astype(np.uint8)), learner
    )
    assert roc_auc_score(wrong, -review.margin) > 0.95
    assert wrong[review.order[:10]].all()
    assert wrong[review.doubtful].mean() > 0.7  # 5 % of all labels are wrong
    assert review.doubtful[wrong].mean() > 0.7
    assert (review.suggested[wrong & review.doubtful] == table.label[wrong & review.doubtful]).all()


def test_right_labels_are_hardly_doubted() -> None:
    assert review_labels(early_and_late(200, 0), learner).doubtful.mean() < 0.05


def test_a_place_without_a_label_is_not_judged() -> None:
    table = early_and_late(60, 0)
    label = table.label.copy()
    label[:3] = UNLABELLED
    review = review_labels(replace(table, label=label), learner)
    assert np.isnan(review.margin[:3]).all()
    assert not np.isin([0, 1, 2], review.order).any()
    assert len(review.order) == 57


def test_one_block_cannot_judge_itself() -> None:
    table = early_and_late(20, 0)
    with pytest.raises(LabelError):
        review_labels(replace(table, block=np.zeros(20, np.int32)), learner)


def test_a_label_is_doubtful_only_where_another_class_is_as_probable_as_usual() -> None:
    """By hand: the mean probability of class 0 where it is the label is 0.65, that of class 1 is 0.7."""
    probability = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.25, 0.75], [0.35, 0.65]], np.float32)
    label = np.array([0, 0, 1, 1, 1], np.uint8)
    review = judge(probability, label)
    assert not review.doubtful.any()  # 0.6 is less than 0.7
    sure = probability.copy()
    sure[1] = [0.2, 0.8]
    assert judge(sure, label).doubtful.tolist() == [False, True, False, False, False]
    assert judge(sure, label).margin[1] == pytest.approx(-0.6)
