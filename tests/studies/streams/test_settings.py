from __future__ import annotations

import pytest

from mixvision.studies.streams.settings import OnlineLearning


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("buffer", 0),
        ("real_share", 0),
        ("real_share", 100),
        ("real_share", 70.0),
        ("seed", -1),
        ("learning_rate", 0),
        ("learning_rate", float("nan")),
        ("l2", -0.1),
        ("l2", True),
    ],
)
def test_wrong_settings_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} is {value!r}; give a"):
        OnlineLearning(**{name: value})
