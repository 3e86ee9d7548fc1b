"""Notes that several pages share."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mixvision.reporting.sections import snapshot_note


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
