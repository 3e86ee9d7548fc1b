"""The state that passes from run to run is complete, even after a kill."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pandas as pd
import pytest
import torch
from damage import flip

from mixvision.studies.streams.arrivals import receive
from mixvision.studies.streams.state import State


def test_state_is_read_as_it_was_saved(images, network, tmp_path, remember):
    assert State.newest(tmp_path) is None
    state = remember(None, receive(images, None), network)
    state.save(tmp_path)
    read = State.newest(tmp_path)
    pd.testing.assert_frame_equal(read.images, state.images)
    pd.testing.assert_frame_equal(read.arrivals, state.arrivals)
    assert read.settings == state.settings and read.network.categories == network.categories
    assert all(torch.equal(value, network.tensors[name]) for name, value in read.network.tensors.items())


@pytest.mark.parametrize("name", ["network.safetensors", "images.parquet", "arrivals.parquet", "settings.json"])
@pytest.mark.parametrize("position", [0.01, 0.5, 0.9, 0.99])
def test_a_damaged_state_is_refused_by_name(images, network, tmp_path, remember, name, position):
    remember(None, receive(images, None), network).save(tmp_path)
    flip(tmp_path / "run-001" / name, position)
    with pytest.raises(ValueError, match=rf"^{tmp_path}/run-001/{name} cannot be read: .* delete it to go on from"):
        State.newest(tmp_path)


def test_a_half_written_state_is_never_read(images, network, tmp_path, monkeypatch, remember):
    first = remember(None, receive(images[::2], None), network)
    first.save(tmp_path)
    second = remember(first, receive(images, first), network)
    with monkeypatch.context() as patch:
        patch.setattr(pd.DataFrame, "to_parquet", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            second.save(tmp_path)
    assert len(State.newest(tmp_path).arrivals) == 1
    second.save(tmp_path)
    assert len(State.newest(tmp_path).arrivals) == 2


def test_the_thousandth_run_is_newer_than_the_999th(images, network, tmp_path, remember):
    state = remember(None, receive(images, None), network)
    for runs in (999, 1000):
        replace(state, arrivals=pd.DataFrame({"run": range(runs)})).save(tmp_path)
    assert len(State.newest(tmp_path).arrivals) == 1000


def test_deleting_the_newest_folder_undoes_its_run_and_other_folders_do_not_disturb(
    images, network, tmp_path, remember
):
    state = remember(None, receive(images, None), network)
    for runs in (1, 2):
        replace(state, arrivals=pd.DataFrame({"run": range(runs)})).save(tmp_path)
    for name in ("run-002 copy", "run-old", "run-", "run-003.bak"):
        (tmp_path / name).mkdir()
    assert len(State.newest(tmp_path).arrivals) == 2
    shutil.rmtree(tmp_path / "run-002")
    assert len(State.newest(tmp_path).arrivals) == 1


def test_changed_settings_are_refused_with_advice(images, network, remember):
    state = remember(None, receive(images, None), network)
    state.require({"image_size": 16, "l2": 0.5})
    with pytest.raises(ValueError, match="image_size is 32, .* with 16 .* delete state to start over"):
        state.require({"image_size": 32, "l2": 0.5})
