"""What a run logs of the chosen model or ratio, by names that say the split."""

from __future__ import annotations

import pandas as pd

from mixvision.tracking.answers import answer_in


def test_measures_by_category_are_those_of_the_chosen_ratio_on_the_test_images():
    table = pd.DataFrame({"ratio": [0, 50], "snapshot": "best_validation", "validation_performance_top1": [0.4, 0.6]})
    answer = answer_in(table.assign(nice_worst_category=[0.1, 0.2], real_macro_f1=[0.3, 0.5]))
    assert (answer.setting, answer.value) == ("ratio", "50")
    assert answer.metrics == {
        "selected/validation/performance_top1": 0.6,
        "selected/test/nice_worst_category": 0.2,
        "selected/test/real_macro_f1": 0.5,
    }


def test_measures_by_category_are_those_of_the_chosen_model():
    table = pd.DataFrame({"trial": ["cnn", "mlp"], "validation_top1": [0.9, 0.8], "test_top1": [0.7, 0.6]})
    answer = answer_in(table.assign(real_test_worst_category=[0.4, 0.3], real_test_balanced_accuracy=[0.65, 0.6]))
    assert (answer.setting, answer.value) == ("trial", "cnn")
    assert answer.metrics == {
        "selected/validation/top1": 0.9,
        "selected/test/top1": 0.7,
        "selected/test/real_worst_category": 0.4,
        "selected/test/real_balanced_accuracy": 0.65,
    }
