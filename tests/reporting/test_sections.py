"""Notes that several pages share."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mixvision.reporting.results import StudyResults
from mixvision.reporting.sections import audit_section, missing_notes, seeds_note, snapshot_note, untested_notes


def test_the_note_on_snapshots_counts_the_images_that_chose_them():
    generator = np.random.default_rng(0)
    manifest = pd.DataFrame(
        {
            "status": generator.choice(["kept", "excluded"], 9000, p=[0.9, 0.1]),
            "split": generator.choice(["train", "validation", "test"], 9000, p=[0.2, 0.2, 0.6]),
            "domain": generator.choice(["nice", "real"], 9000, p=[0.7, 0.3]),
        }
    )
    note = snapshot_note(manifest, 40, "the second training")
    assert "after every 40 iterations of the second training and at its end" in note
    for split in ("validation", "test"):
        nice, real = (
            sum(row == ("kept", split, domain) for row in manifest.itertuples(index=False, name=None))
            for domain in ("nice", "real")
        )
        assert f"on the {split} images ({nice:,} nice and {real:,} real)" in note


def test_categories_that_are_trained_on_but_not_tested_are_named():
    audit = pd.DataFrame(
        [("nice", "Fig", 40, 0), ("real", "Fig", 20, 20), ("nice", "Pear", 0, 9), ("real", "Plum", 12, 0)],
        columns=["domain", "category", "train", "test"],
    )
    (note,) = untested_notes(audit)
    assert note.startswith("Trained on, but not tested: Fig (nice), Plum (real).")
    nothing = pd.DataFrame()
    results = StudyResults(
        manifest=nothing,
        trials=nothing,
        outcomes=nothing,
        split_audit=audit,
        split_summary=pd.DataFrame({"count": [1]}),
    )
    assert audit_section(results).text == [note]
    assert untested_notes(audit[audit["test"] > 0]) == []


def test_every_missing_trial_has_a_note_with_its_reason():
    statuses = ["finished", "failed", "pruned", "out of memory", "cancelled"]
    reasons = ["", "The loss is nan.", "", "Lower batch_size.", "Cancelled after epoch 2."]
    outcomes = pd.DataFrame({"trial": list("abcde"), "status": statuses, "reason": reasons})
    assert missing_notes(outcomes) == [
        "Missing: b (failed). The loss is nan.",
        "Missing: d (out of memory). Lower batch_size.",
        "Missing: e (cancelled). Cancelled after epoch 2.",
    ]


def test_one_seed_is_said_plainly_and_several_are_the_spread():
    assert "with one seed" in seeds_note(pd.DataFrame({"trials": [1, 1]}), "share")
    several = seeds_note(pd.DataFrame({"trials": [1, 3]}), "share")
    assert several.startswith("± is the standard deviation over the seeds of a share")
