"""What the baselines need of the memory."""

from __future__ import annotations

import pandas as pd
import pytest

from mixvision.studies.baselines.needs import baselines_needs
from mixvision.training.config import EpochTraining


@pytest.mark.parametrize(
    ("models", "named"), [(["random"], []), (["random", "linear", "cnn"], ["batch_size (up to 64)"])]
)
def test_models_that_only_guess_need_no_network(small_manifest, models, named):
    trials = pd.DataFrame({"trial": models, "model": models, "batch_size": 64})
    needs = baselines_needs(trials, small_manifest, 16, EpochTraining(accelerator="cpu"))
    assert [need.lower for need in needs if need.what.startswith("training")] == named
    assert needs[-1].bytes > 0
