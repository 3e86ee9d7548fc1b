from __future__ import annotations

import pandas as pd
import pytest
from kedro.io import DatasetError

from mixvision.datasets.streams import StateDataset
from mixvision.models.trained import TrainedNetwork
from mixvision.studies.streams.state import State

STATE = State(
    TrainedNetwork("resnet25", ("0", "1"), 16, {}),
    pd.DataFrame({"id": ["a.png"]}),
    pd.DataFrame({"run": [1]}),
    {"image_size": 16},
)


def test_there_is_no_state_before_the_first_run_and_a_loaded_one_is_not_written_again(tmp_path):
    dataset = StateDataset(str(tmp_path / "state"))
    assert not dataset.exists() and dataset.load() is None
    dataset.save(STATE)
    assert dataset.exists()
    read = dataset.load()
    pd.testing.assert_frame_equal(read.arrivals, STATE.arrivals)
    written = [path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*"))]
    dataset.save(read)
    assert [path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*"))] == written


def test_two_runs_at_once_do_not_both_leave_a_state(tmp_path):
    dataset = StateDataset(str(tmp_path / "state"))
    dataset.save(STATE)
    with pytest.raises(DatasetError, match="run-001"):
        dataset.save(STATE)
