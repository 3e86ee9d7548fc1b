"""Which images are new or held out, and how well new ones are classified, with real digits."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixvision.models.trained import TrainedNetwork
from mixvision.studies.streams.arrivals import classify_new, last_mistakes, prequential_accuracy, receive


def test_an_image_is_new_once_whatever_it_is_called(images, network, remember):
    first = receive(images[::2], None)
    assert first["is_new"].all() and not first["met"].any() and set(first["run"]) == {1}
    renamed = images.assign(id="moved/" + images["id"])
    second = receive(renamed, remember(None, first, network))
    assert set(second.index[~second["is_new"]]) == set(first.index)
    assert (second["run"] == np.where(second["is_new"], 2, 1)).all()


def test_an_image_is_known_by_its_pixels_or_by_its_file(images, network, remember):
    first = receive(images[::2], None)
    state = remember(None, first, network)
    anew = hashlib.sha256(b"decoded by another version").hexdigest()[:32]
    decoded = images.assign(pixels_sha256=[anew + digest[32:] for digest in images["pixels_sha256"]])
    written = images.assign(sha256="written anew " + images["sha256"])
    for changed in (decoded, written):
        received = receive(changed, state)
        assert set(received.index[~received["is_new"]]) == set(first.index)
        assert received.loc[first.index, "held_out"].equals(first["held_out"])
    both = decoded.assign(sha256=written["sha256"])
    assert receive(both, state)["is_new"].all()


def test_excluded_files_are_not_received(images):
    images.loc[images.index[:5], "status"] = "excluded"
    assert len(receive(images, None)) == len(images) - 5


@settings(max_examples=50, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=60),
    cuts=st.lists(st.integers(0, 5), min_size=1, max_size=10),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_cluster_is_ever_on_both_sides(sizes, cuts, seed, remember):
    """Clusters of any sizes arrive in any pieces: what is held out stays so, with all of its cluster."""
    cluster = np.repeat(np.arange(len(sizes)), sizes)
    digests = [hashlib.sha256(f"{seed} {number}".encode()).hexdigest() for number in range(len(cluster))]
    manifest = pd.DataFrame({"pixels_sha256": digests, "component": cluster, "status": "kept", "category": "0"})
    manifest["id"] = manifest["sha256"] = manifest["pixels_sha256"]
    arrives = np.random.default_rng(seed).choice(cuts, len(manifest))
    network = TrainedNetwork("resnet25", ("0",), 16, {})
    state, decided = None, {}
    for run in sorted(set(arrives)):
        received = receive(manifest[arrives <= run], state)
        assert (received.groupby("component")["held_out"].nunique() == 1).all()
        now = dict(zip(received["id"], received["held_out"], strict=True))
        assert decided.items() <= now.items()
        state, decided = remember(state, received, network), now


def test_about_a_tenth_is_held_out(images):
    assert 0.03 < receive(images, None)["held_out"].mean() < 0.2


def test_a_new_image_that_links_both_sides_is_held_out_and_earlier_decisions_stay(images, network, remember):
    first = receive(images, None)
    held, free = first.index[first["held_out"]][0], first.index[~first["held_out"]][0]
    newcomer = first.index[~first["held_out"]][1]
    linked = images.copy()
    linked.loc[[held, free, newcomer], "component"] = -1
    second = receive(linked, remember(None, first.drop(newcomer), network))
    assert second.loc[[held, newcomer], "held_out"].all() and not second.loc[free, "held_out"]
    assert second.index[second["met"] & second["is_new"]].tolist() == [newcomer]


def test_a_new_category_is_left_out_with_a_warning_that_says_what_to_do(images, network, caplog, remember):
    known = replace(network, categories=("0", "2"))
    state = remember(None, receive(images[images["category"] != "1"], None), known)
    with caplog.at_level(logging.WARNING):
        received = receive(images, state)
    assert set(received["category"]) == {"0", "2"} and not received["is_new"].any()
    assert len(caplog.records) == 1


def test_prequential_accuracy_is_that_of_new_images_without_known_near_duplicates(
    images, network, small_pixels, remember
):
    first = receive(images[::3], None)
    images.loc[images.index[1], "component"] = images.loc[images.index[0], "component"]
    second = receive(images, remember(None, first, network))
    answers = classify_new(network, second, small_pixels)
    measured = prequential_accuracy(answers)
    assert measured["nice_measured"] == 79 and measured["real_measured"] == 80
    expected = {}
    for domain, numbers in (("nice", range(120)), ("real", range(120, 240))):
        counted = images.loc[[n for n in numbers if n % 3 and n != 1]]
        probabilities = network.classify(small_pixels[domain][counted["pixel_row"]])
        expected[domain] = np.mean(probabilities.argmax(1) == counted["category"].astype(int))
        assert measured[f"{domain}_top1"] == pytest.approx(expected[domain])
    assert measured["performance_top1"] == pytest.approx((expected["nice"] * expected["real"]) ** 0.5)


def test_without_a_network_or_without_new_images_nothing_is_measured(images, network, small_pixels, remember):
    first = receive(images, None)
    again = receive(images, remember(None, first, network))
    for measured in (
        prequential_accuracy(classify_new(None, first, small_pixels)),
        prequential_accuracy(classify_new(network, again, small_pixels)),
    ):
        assert measured["nice_measured"] == measured["real_measured"] == 0
        assert np.isnan([measured["nice_top1"], measured["real_top1"], measured["performance_top1"]]).all()


def test_the_last_mistakes_are_those_of_the_last_run_that_classified_images(images, network, small_pixels, remember):
    """A third run, in which nothing new counts, and files that are gone since change nothing."""
    first = remember(None, receive(images[::3], None), network)
    assert last_mistakes(first, images) is None, "the first run has no network yet"
    received = receive(images, first)
    answers = classify_new(network, received, small_pixels)
    second = remember(first, received, network)
    told = answers.set_index("id").reindex(second.images["id"])[["prediction", "probability"]].reset_index(drop=True)
    state = replace(second, images=pd.concat([second.images, told], axis=1))
    wrong = answers[answers["prediction"] != answers["category"]].sort_values("probability", ascending=False)
    mistakes = last_mistakes(state, images, 10)
    assert set(mistakes["id"]) <= set(wrong["id"]) and len(mistakes) == min(10, len(wrong)) > 0
    assert mistakes["probability"].tolist() == wrong["probability"].head(10).tolist()
    seen = answers.set_index("id").loc[mistakes["id"]]
    assert mistakes["prediction"].tolist() == seen["prediction"].tolist()
    gone = images[images["id"] != mistakes["id"][0]]
    assert last_mistakes(state, gone, 9)["id"].tolist() == mistakes["id"].tolist()[1:]
