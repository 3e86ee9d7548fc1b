"""Tables and page of the comparison, from predictions whose accuracies are known."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from page_reader import Reader
from page_terms import require_explained_terms
from PIL import Image

from mixvision.studies.alternatives import figures
from mixvision.studies.alternatives.page import AlternativesResults, alternatives_page, answer, claim_sentence
from mixvision.studies.alternatives.tables import arms_table, best_arm, forgetting_table, judge_claim, tied_arms

ARMS = {  # arm: approach, nice and real hits of 100 (the first so many), those after the first training
    "mix, 50% real": ("fixed-size mix", (70, 60), None),
    "mix, 100% real": ("fixed-size mix", (30, 80), None),
    "all nice + 50% of real": ("nice + real", (80, 50), None),
    "all images": ("all images together", (85, 75), None),
    "balanced batches": ("all images together", (85, 74), None),
    "fine-tuned on real": ("nice, then real", (40, 70), (90, 20)),
    "fine-tuned, 20% replayed": ("nice, then real", (65, 65), (90, 20)),
}
IMAGES = 100


@pytest.fixture(scope="module")
def trials() -> pd.DataFrame:
    rows = [
        {
            "trial": f"{number}-seed-{seed}",
            "arm": arm,
            "approach": approach,
            "seed": seed,
            "replay": 20 * ("20%" in arm),
        }
        for number, (arm, (approach, *_)) in enumerate(ARMS.items())
        for seed in range(3)
    ]
    return pd.DataFrame(rows).assign(objective="cross_entropy", trainable="all")


@pytest.fixture(scope="module")
def joined(trials) -> pd.DataFrame:
    parts = []
    for trial in trials.itertuples():
        _, at_end, before = ARMS[trial.arm]
        for snapshot, right in (("best_validation", at_end), ("last", at_end), ("after_initial", before)):
            for split in ("validation", "test") if right else ():
                for place, domain in enumerate(("nice", "real")):
                    part = pd.DataFrame({"top1": np.arange(IMAGES) < right[place], "top3": True})
                    part["id"] = [f"{split}/{domain}/{number}" for number in range(IMAGES)]
                    part["component"] = np.arange(IMAGES) + 1000 * place
                    parts.append(part.assign(trial=trial.trial, snapshot=snapshot, split=split, domain=domain))
    joined = pd.concat(parts, ignore_index=True)
    joined = joined.assign(leaks=False, category=np.where(joined.index % 2, "a", "b"))
    return joined.assign(prediction_1=np.where(joined["top1"], joined["category"], "wrong"))


@pytest.fixture(scope="module")
def table(joined, trials) -> pd.DataFrame:
    counts = pd.DataFrame({"arm": list(ARMS), "nice_images": 80, "real_images": [40, 80, 20, 40, 40, 40, 40]})
    return arms_table(joined, trials, counts)


def test_the_table_has_every_arm_in_order_with_its_accuracies(table):
    assert list(table["arm"]) == list(ARMS)
    for row in table.itertuples():
        nice, real = ARMS[row.arm][1]
        assert (row.nice_top1, row.real_top1) == pytest.approx((nice / 100, real / 100))
        assert row.performance_top1 == pytest.approx(np.sqrt(nice * real) / 100)
        assert row.performance_top1_low < row.performance_top1 < row.performance_top1_high
    assert (table["performance_top1_std"] < 1e-9).all() and (table["trials"] == 3).all()


def test_the_best_arm_is_chosen_on_validation_and_its_equals_are_named(table):
    assert best_arm(table)["arm"] == "all images" and best_arm(table, "fixed-size mix")["arm"] == "mix, 50% real"
    assert tied_arms(table) == ["all images", "balanced batches"]


def test_the_claim_is_judged_by_the_best_of_each_side(joined, trials):
    claim = judge_claim(joined, trials, 0.02)
    assert (claim.alternative, claim.mix, claim.verdict.verdict) == ("all images", "mix, 50% real", "supported")
    assert claim.estimate == pytest.approx((np.sqrt(85 * 75) - np.sqrt(70 * 60)) / 100)
    given = re.findall(r"[+-]\d\.\d{3}", claim_sentence(claim))
    assert given == [f"{value:+.3f}" for value in (claim.estimate, claim.verdict.low, claim.verdict.high)]
    mixes = trials[trials["approach"] == "fixed-size mix"]
    assert judge_claim(joined, mixes, 0.02) is None
    apart = trials.assign(seed=np.arange(len(trials)))  # no seed has all arms
    assert judge_claim(joined, apart, 0.02) is None


def test_forgetting_and_forward_transfer_are_differences_of_accuracies(joined, trials):
    row = forgetting_table(joined, trials).set_index("arm").loc["fine-tuned on real"]
    assert row[["nice_before", "nice_after", "forgetting"]].tolist() == pytest.approx([0.9, 0.4, 0.5])
    assert row[["real_before", "real_after", "forward_transfer"]].tolist() == pytest.approx([0.2, 0.7, 0.2 - 1 / 2])


def test_the_answer_says_which_arm_is_best_what_it_cannot_be_told_from_and_the_best_mix(table, joined, trials):
    text = answer(table, judge_claim(joined, trials, 0.02))
    best, mix = best_arm(table), best_arm(table, "fixed-size mix")
    numbers = re.findall(r"(?<![\d+-])\d\.\d{3}", text)
    columns = ["performance_top1", "performance_top1_low", "performance_top1_high", "nice_top1", "real_top1"]
    assert numbers == [f"{row[column]:.3f}" for row in (best, mix) for column in columns]
    assert "cannot tell it from balanced batches." in text and ": supported." in text


def test_the_page_shows_every_arm_and_marks_the_best(table, joined, trials, study):
    forgetting = forgetting_table(joined, trials)
    sheet = Image.new("RGB", (40, 30), "red")
    results = AlternativesResults(
        manifest=study.manifest,
        trials=trials,
        outcomes=pd.DataFrame(),
        split_audit=pd.DataFrame(columns=["domain", "category", "train", "test"]),
        split_summary=pd.DataFrame({"split": ["train"], "images": [80]}),
        table=table,
        claim=judge_claim(joined, trials, 0.02),
        forgetting=forgetting,
        performance=figures.performance_of_arms(table),
        real_images=figures.performance_by_real_images(table),
        replay=figures.replay_curve(forgetting, trials),
        mistakes=sheet,
        hardest=sheet,
    )
    html = alternatives_page("Five fruits", results, ["A note."])
    page = Reader(html)
    assert page.table("arm", "95% interval")["arm"].tolist() == list(ARMS)
    (best,) = re.findall(r'<tr class="best">(.*)</tr>', html)
    assert "all images" in best and len(re.findall('<tr class="tied">', html)) == 1
    worst = page.table("arm", "worst category").set_index(["arm", "domain"])["worst category"]
    assert worst["all images", "real"].startswith("0.740")  # 37 of the 50 images with an odd number
    assert page.table("arm", "forgotten")["forgotten"].tolist() == ["0.500", "0.250"]
    assert page.section("How to read this").endswith("A note.")
    require_explained_terms(html)


def test_figures_draw_what_the_tables_hold(table, joined, trials):
    by_real = figures.performance_by_real_images(table)
    drawn = {trace.name: (list(trace.x), list(trace.y)) for trace in by_real.data}
    assert drawn["real, all nice images + real ones"] == (
        [20, 40],
        pytest.approx([0.5, 0.75]),
    )  # without balanced batches
    assert drawn["nice, fixed-size mix"] == ([40, 80], pytest.approx([0.7, 0.3]))
    curve = figures.replay_curve(forgetting_table(joined, trials), trials)
    assert {trace.name: (list(trace.x), list(trace.y)) for trace in curve.data} == {
        "nice": ([0, 20], pytest.approx([0.4, 0.65])),
        "real": ([0, 20], pytest.approx([0.7, 0.65])),
    }
    rings = figures.performance_of_arms(table).data[-1]
    assert list(rings.y) == ["all images", "balanced batches"]
