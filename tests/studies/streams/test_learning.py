"""What is new, what is trained on, and what is remembered, on real digits."""

from __future__ import annotations

import hashlib
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mixvision.models.resnet25 import ResNet25
from mixvision.models.trained import TrainedNetwork
from mixvision.studies.streams.learning import (
    OnlineLearning,
    State,
    fill_buffers,
    pool_buffers,
    prequential_accuracy,
    receive,
)

FOLDER = Path("state")
LEARNING = OnlineLearning(buffer=60)


@pytest.fixture
def images(small_manifest, small_pixels) -> pd.DataFrame:
    """The small digits, each a cluster of its own."""
    digests = [
        hashlib.sha256(small_pixels[row.domain][row.pixel_row].tobytes()).hexdigest()
        for row in small_manifest.itertuples()
    ]
    files = [f"file {number}" for number in range(len(digests))]
    return small_manifest.assign(sha256=files, pixels_sha256=digests, cluster=range(len(digests)), split="")


@pytest.fixture
def network() -> TrainedNetwork:
    built = ResNet25(3, 16, [torch.Generator().manual_seed(0)])
    tensors = {name: value[0].contiguous() for name, value in built.state_dict().items()}
    return TrainedNetwork("resnet25", ("0", "1", "2"), 16, tensors)


def remember(state: State | None, received: pd.DataFrame, network: TrainedNetwork | None = None) -> State:
    """The state after a run that received these images."""
    fresh = received.loc[received["is_new"], ["id", "sha256", "pixels_sha256", "run", "held_out"]]
    run = 1 if state is None else len(state.arrivals) + 1
    seen = fresh if state is None else pd.concat([state.images, fresh], ignore_index=True)
    return State(network, seen, pd.DataFrame({"run": range(1, run + 1)}), {"image_size": 16, "l2": 0.5})


def test_an_image_is_new_once_whatever_it_is_called(images, network):
    first = receive(images[::2], None, FOLDER)
    assert first["is_new"].all() and not first["met"].any() and set(first["run"]) == {1}
    renamed = images.assign(id="moved/" + images["id"])
    second = receive(renamed, remember(None, first, network), FOLDER)
    assert set(second.index[~second["is_new"]]) == set(first.index)
    assert (second["run"] == np.where(second["is_new"], 2, 1)).all()


def test_an_image_is_known_by_its_pixels_or_by_its_file(images, network):
    first = receive(images[::2], None, FOLDER)
    state = remember(None, first, network)
    anew = hashlib.sha256(b"decoded by another version").hexdigest()[:32]
    decoded = images.assign(pixels_sha256=[anew + digest[32:] for digest in images["pixels_sha256"]])
    written = images.assign(sha256="written anew " + images["sha256"])
    for changed in (decoded, written):
        received = receive(changed, state, FOLDER)
        assert set(received.index[~received["is_new"]]) == set(first.index)
        assert received.loc[first.index, "held_out"].equals(first["held_out"])
    both = decoded.assign(sha256=written["sha256"])
    assert receive(both, state, FOLDER)["is_new"].all()


def test_excluded_files_are_not_received(images):
    images.loc[images.index[:5], "status"] = "excluded"
    assert len(receive(images, None, FOLDER)) == len(images) - 5


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=60),
    st.lists(st.integers(0, 5), min_size=1, max_size=10),
    st.integers(0, 2**32 - 1),
)
def test_no_cluster_is_ever_on_both_sides(sizes, cuts, seed):
    """Clusters of any sizes arrive in any pieces: what is held out stays so, with all of its cluster."""
    cluster = np.repeat(np.arange(len(sizes)), sizes)
    digests = [hashlib.sha256(f"{seed} {number}".encode()).hexdigest() for number in range(len(cluster))]
    manifest = pd.DataFrame({"pixels_sha256": digests, "cluster": cluster, "status": "kept", "category": "0"})
    manifest["id"] = manifest["sha256"] = manifest["pixels_sha256"]
    arrives = np.random.default_rng(seed).choice(cuts, len(manifest))
    network = TrainedNetwork("resnet25", ("0",), 16, {})
    state, decided = None, {}
    for run in sorted(set(arrives)):
        received = receive(manifest[arrives <= run], state, FOLDER)
        assert (received.groupby("cluster")["held_out"].nunique() == 1).all()
        now = dict(zip(received["id"], received["held_out"], strict=True))
        assert decided.items() <= now.items()
        state, decided = remember(state, received, network), now


def test_about_a_tenth_is_held_out(images):
    assert 0.03 < receive(images, None, FOLDER)["held_out"].mean() < 0.2


def test_what_links_both_sides_is_held_out_and_nothing_already_decided_moves(images, network):
    first = receive(images, None, FOLDER)
    held, free = first.index[first["held_out"]][0], first.index[~first["held_out"]][0]
    newcomer = first.index[~first["held_out"]][1]
    linked = images.copy()
    linked.loc[[held, free, newcomer], "cluster"] = -1
    second = receive(linked, remember(None, first.drop(newcomer), network), FOLDER)
    assert second.loc[[held, newcomer], "held_out"].all() and not second.loc[free, "held_out"]
    assert second.index[second["met"] & second["is_new"]].tolist() == [newcomer]


def test_a_new_category_is_left_out_with_a_warning_that_says_what_to_do(images, network, caplog):
    known = replace(network, categories=("0", "2"))
    state = remember(None, receive(images[images["category"] != "1"], None, FOLDER), known)
    with caplog.at_level(logging.WARNING):
        received = receive(images, state, FOLDER)
    assert set(received["category"]) == {"0", "2"} and not received["is_new"].any()
    assert len(caplog.records) == 1


@pytest.mark.parametrize(("share", "nice", "real"), [(70, 3, 7), (50, 1, 1), (75, 1, 3), (10, 9, 1)])
def test_training_sets_hold_exactly_the_share_and_all_that_they_can(images, share, nice, real):
    buffers = fill_buffers(receive(images, None, FOLDER), OnlineLearning(buffer=100, real_share=share))
    assert (buffers.groupby("domain").size() == 100).all()
    free = buffers[~buffers["held_out"]].groupby("domain").size()
    chosen = buffers[buffers["split"] == "train"].groupby("domain").size()
    assert chosen["nice"] * real == chosen["real"] * nice
    assert chosen["nice"] + nice > free["nice"] or chosen["real"] + real > free["real"]


def test_held_out_images_are_never_trained_on(images):
    buffers = fill_buffers(receive(images, None, FOLDER), LEARNING)
    assert buffers["held_out"].any()
    assert (buffers.loc[buffers["held_out"], "split"] == "validation").all()
    assert not (buffers.loc[~buffers["held_out"], "split"] == "validation").any()


def test_buffers_keep_the_newest_and_mix_the_categories_of_one_run(images, network):
    number = images.groupby(["domain", "category"]).cumcount()
    first = receive(images[number < 20], None, FOLDER)
    second = receive(images, remember(None, first, network), FOLDER)
    buffers = fill_buffers(second, OnlineLearning(buffer=75))
    for _, buffer in buffers.groupby("domain"):
        assert (buffer["run"] == 2).sum() == 60 and (buffer["run"] == 1).sum() == 15
        assert buffer.loc[buffer["run"] == 1, "category"].nunique() == 3
    trained = buffers[buffers["split"] == "train"]
    unused = buffers[buffers["split"] == ""]
    for domain in ("nice", "real"):
        oldest = trained.loc[trained["domain"] == domain, "run"].min()
        assert (unused.loc[unused["domain"] == domain, "run"] <= oldest).all()


def test_too_few_images_say_so(images):
    few = images.groupby("domain").head(9)
    with pytest.raises(ValueError, match="too few for 20 images of which 70% are real"):
        fill_buffers(receive(few, None, FOLDER), LEARNING)


def test_prequential_accuracy_is_that_of_the_new_images_without_relatives(images, network, small_pixels):
    first = receive(images[::3], None, FOLDER)
    images.loc[images.index[1], "cluster"] = images.loc[images.index[0], "cluster"]
    second = receive(images, remember(None, first, network), FOLDER)
    measured = prequential_accuracy(network, second, small_pixels)
    assert measured["nice_measured"] == 79 and measured["real_measured"] == 80
    expected = {}
    for domain, numbers in (("nice", range(120)), ("real", range(120, 240))):
        counted = images.loc[[n for n in numbers if n % 3 and n != 1]]
        probabilities = network.classify(small_pixels[domain][counted["pixel_row"]])
        expected[domain] = np.mean(probabilities.argmax(1) == counted["category"].astype(int))
        assert measured[f"{domain}_top1"] == pytest.approx(expected[domain])
    assert measured["performance_top1"] == pytest.approx((expected["nice"] * expected["real"]) ** 0.5)


def test_without_a_network_or_without_new_images_nothing_is_measured(images, network, small_pixels):
    first = receive(images, None, FOLDER)
    again = receive(images, remember(None, first, network), FOLDER)
    for measured in (
        prequential_accuracy(None, first, small_pixels),
        prequential_accuracy(network, again, small_pixels),
    ):
        assert measured["nice_measured"] == measured["real_measured"] == 0
        assert np.isnan([measured["nice_top1"], measured["real_top1"], measured["performance_top1"]]).all()


def test_labels_mean_the_same_when_a_category_has_vanished(images, small_pixels):
    received = receive(images[images["category"] != "1"], None, FOLDER)
    buffers = fill_buffers(received, LEARNING)
    pool = pool_buffers(buffers, small_pixels, ("0", "1", "2"))
    assert pool.categories == ("0", "1", "2") and list(pool.held_out) == ["validation"]
    category = images.set_index("id")["category"]
    assert [str(label) for label in pool.labels.tolist()] == category[pool.ids].tolist()
    assert len(pool.ids) == buffers["split"].isin(["train", "validation"]).sum()


def test_state_is_read_as_it_was_saved(images, network, tmp_path):
    assert State.newest(tmp_path) is None
    state = remember(None, receive(images, None, FOLDER), network)
    state.save(tmp_path)
    read = State.newest(tmp_path)
    pd.testing.assert_frame_equal(read.images, state.images)
    pd.testing.assert_frame_equal(read.arrivals, state.arrivals)
    assert read.settings == state.settings and read.network.categories == network.categories
    assert all(torch.equal(value, network.tensors[name]) for name, value in read.network.tensors.items())


def test_a_half_written_state_is_never_read(images, network, tmp_path, monkeypatch):
    first = remember(None, receive(images[::2], None, FOLDER), network)
    first.save(tmp_path)
    second = remember(first, receive(images, first, FOLDER), network)
    with monkeypatch.context() as patch:
        patch.setattr(pd.DataFrame, "to_parquet", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            second.save(tmp_path)
    assert len(State.newest(tmp_path).arrivals) == 1
    second.save(tmp_path)
    assert len(State.newest(tmp_path).arrivals) == 2


def test_the_thousandth_run_is_newer_than_the_999th(images, network, tmp_path):
    state = remember(None, receive(images, None, FOLDER), network)
    for runs in (999, 1000):
        replace(state, arrivals=pd.DataFrame({"run": range(runs)})).save(tmp_path)
    assert len(State.newest(tmp_path).arrivals) == 1000


def test_deleting_the_newest_folder_undoes_its_run_and_other_folders_do_not_disturb(images, network, tmp_path):
    state = remember(None, receive(images, None, FOLDER), network)
    for runs in (1, 2):
        replace(state, arrivals=pd.DataFrame({"run": range(runs)})).save(tmp_path)
    for name in ("run-002 copy", "run-old", "run-", "run-003.bak"):
        (tmp_path / name).mkdir()
    assert len(State.newest(tmp_path).arrivals) == 2
    shutil.rmtree(tmp_path / "run-002")
    assert len(State.newest(tmp_path).arrivals) == 1


def test_other_settings_are_refused_with_the_way_out(images, network):
    state = remember(None, receive(images, None, FOLDER), network)
    state.require({"image_size": 16, "l2": 0.5}, FOLDER)
    with pytest.raises(ValueError, match="image_size is 32, .* with 16 .* delete state to start anew"):
        state.require({"image_size": 32, "l2": 0.5}, FOLDER)


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
