"""Which classes are present by each rule, and what cannot be decided."""

from __future__ import annotations

import numpy as np

from fastcaps.training.evaluation.decisions import RULES, collated, decide
from tests.training.evaluation.made import predictions


def test_each_fold_has_its_own_thresholds() -> None:
    tested = predictions([1, 0, 1, 0], [0.2, 0.4, 0.5, 0.9])
    # Above 0.3, and above 0.75.
    low, high = predictions([0, 1], [0.1, 0.5]), predictions([0, 1], [0.5, 1.0])
    folds = [decide(tested, low, "fold 1"), decide(tested, high, "fold 2")]
    both = collated(folds)
    assert both.present["f1"][:, 0].tolist() == [False, False, False, True] * 2
    for rule in ("f1_equal_error", "f1_tuned"):
        assert both.present[rule][:, 0].tolist() == [False, True, True, True] + [False] * 3 + [True]
        assert both.undecided[rule] == (None,)
    assert len(both.predictions) == 8


def test_both_chosen_thresholds_are_told_apart() -> None:
    # Equal errors: above 1/2, one of three positives and one of three negatives wrong. F1: from
    # 1/4 on, all three positives and two negatives, 3/4 against 2/3.
    trained = predictions([0, 1, 0, 1, 0, 1], [0.0, 0.25, 0.25, 0.75, 0.75, 1.0])
    decided = decide(predictions([1], [0.25]), trained, "fold 1")
    assert not decided.present["f1_equal_error"].any()
    assert decided.present["f1_tuned"].all()


def test_a_class_with_one_side_in_training_is_undecided() -> None:
    tested = predictions([[1, 1, 0]], [[0.9, 0.9, 0.1]])
    one_sided = predictions([[1, 0, -1], [0, 0, -1]], np.full((2, 3), 0.5))
    fine = predictions([[1, 1, 1], [0, 0, 0]], [[0.75] * 3, [0.25] * 3])
    decided = decide(tested, one_sided, "fold 2")
    both = collated([decide(tested, fine, "fold 1"), decided])
    for found in (decided, both):
        assert found.undecided["f1"] == (None, None, None)
        assert found.undecided["f1_tuned"] == (
            None,
            "AU02 has no threshold: no positive in the training frames of fold 2",
            "AU03 has no threshold: no positive in the training frames of fold 2",
        )
    assert not decided.present["f1_tuned"][:, 1:].any()


def test_reasons_of_several_folds_are_all_told() -> None:
    tested, always = predictions([1], [0.5]), predictions([1, 1], [0.5, 0.6])
    both = collated([decide(tested, always, f"fold {number}") for number in (1, 2)])
    assert both.undecided["f1_equal_error"] == (
        "AU01 has no threshold: no negative in the training frames of fold 1; "
        "AU01 has no threshold: no negative in the training frames of fold 2",
    )


def test_of_exclusive_classes_the_largest_score_wins() -> None:
    # None reaches one half; the last two are equally large.
    tested = predictions(
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0.4, 0.3, 0.3], [0.2, 0.3, 0.45], [0.2, 0.4, 0.4]],
        exclusive=True,
    )
    decided = decide(tested, tested, "fold 1")
    assert decided.present["f1"].argmax(axis=1).tolist() == [0, 2, 1]
    assert (decided.present["f1"].sum(axis=1) == 1).all()
    assert set(decided.present) == set(RULES)
