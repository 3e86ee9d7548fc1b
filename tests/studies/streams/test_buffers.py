"""Which images a run trains on, with real digits."""

from __future__ import annotations

import pytest

from mixvision.studies.streams.arrivals import receive
from mixvision.studies.streams.buffers import fill_buffers, pool_buffers
from mixvision.studies.streams.settings import OnlineLearning

LEARNING = OnlineLearning(buffer=60)


@pytest.mark.parametrize(("share", "nice", "real"), [(70, 3, 7), (50, 1, 1), (75, 1, 3), (10, 9, 1)])
def test_training_sets_hold_exactly_the_share_and_all_that_they_can(images, share, nice, real):
    buffers = fill_buffers(receive(images, None), OnlineLearning(buffer=100, real_share=share))
    assert (buffers.groupby("domain").size() == 100).all()
    free = buffers[~buffers["held_out"]].groupby("domain").size()
    chosen = buffers[buffers["split"] == "train"].groupby("domain").size()
    assert chosen["nice"] * real == chosen["real"] * nice
    assert chosen["nice"] + nice > free["nice"] or chosen["real"] + real > free["real"]


def test_held_out_images_are_never_trained_on(images):
    buffers = fill_buffers(receive(images, None), LEARNING)
    assert buffers["held_out"].any()
    assert (buffers.loc[buffers["held_out"], "split"] == "validation").all()
    assert not (buffers.loc[~buffers["held_out"], "split"] == "validation").any()


def test_buffers_keep_the_newest_and_mix_the_categories_of_one_run(images, network, remember):
    number = images.groupby(["domain", "category"]).cumcount()
    first = receive(images[number < 20], None)
    second = receive(images, remember(None, first, network))
    buffers = fill_buffers(second, OnlineLearning(buffer=75))
    for _, buffer in buffers.groupby("domain"):
        assert (buffer["run"] == 2).sum() == 60 and (buffer["run"] == 1).sum() == 15
        assert buffer.loc[buffer["run"] == 1, "category"].nunique() == 3
    trained = buffers[buffers["split"] == "train"]
    unused = buffers[buffers["split"] == ""]
    for domain in ("nice", "real"):
        oldest = trained.loc[trained["domain"] == domain, "run"].min()
        assert (unused.loc[unused["domain"] == domain, "run"] <= oldest).all()


def test_too_few_images_are_refused(images):
    few = images.groupby("domain").head(9)
    with pytest.raises(ValueError, match="too few for 20 images of which 70% are real"):
        fill_buffers(receive(few, None), LEARNING)


def test_labels_mean_the_same_when_a_category_has_vanished(images, small_pixels):
    received = receive(images[images["category"] != "1"], None)
    buffers = fill_buffers(received, LEARNING)
    pool = pool_buffers(buffers, small_pixels, ("0", "1", "2"))
    assert pool.categories == ("0", "1", "2") and list(pool.held_out) == ["validation"]
    category = images.set_index("id")["category"]
    assert [str(label) for label in pool.labels.tolist()] == category[pool.ids].tolist()
    assert len(pool.ids) == buffers["split"].isin(["train", "validation"]).sum()
