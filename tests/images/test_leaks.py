from __future__ import annotations

import pandas as pd

from mixvision.images.leaks import list_leaks


def manifest_of(*rows: tuple[str, str, str, str, int]) -> pd.DataFrame:
    manifest = pd.DataFrame(rows, columns=["id", "split", "pixels_sha256", "group", "component"])
    return manifest.assign(status="kept", domain="real")


def test_every_leaking_image_is_listed_with_the_first_reason_that_applies():
    manifest = manifest_of(
        ("copied", "test", "same", "", 0),
        ("copied near", "test", "other", "", 0),
        ("seen", "train", "same", "", 0),
        ("twin", "test", "t", "day 1", 1),
        ("twin seen", "validation", "v", "", 1),
        ("day seen", "train", "d", "day 1", 1),
        ("friend", "validation", "f", "", 1),
        ("alone", "test", "a", "", 2),
        ("held", "test", "h", "day 2", 3),
        ("held too", "test", "i", "day 2", 3),
    )
    pairs = pd.DataFrame(
        [("copied near", "seen"), ("copied", "seen"), ("copied near", "copied"), ("twin", "twin seen")],
        columns=["id_a", "id_b"],
    )
    leaks = list_leaks(manifest, pairs).set_index("id")
    assert leaks.T.to_dict("list") == {
        "copied": ["test", "exact copy", "seen", "train"],
        "copied near": ["test", "near-duplicate", "seen", "train"],
        "friend": ["validation", "linked", "day seen", "train"],
        "twin": ["test", "near-duplicate", "twin seen", "validation"],
        "twin seen": ["validation", "linked", "day seen", "train"],
    }


def test_nothing_leaks_without_links():
    manifest = manifest_of(("a", "train", "a", "", 0), ("b", "test", "b", "", 1), ("c", "", "c", "", -1))
    manifest.loc[2, "status"] = "excluded"
    leaks = list_leaks(manifest, pd.DataFrame({"id_a": [], "id_b": []}, dtype=str))
    assert leaks.empty and list(leaks.columns) == ["id", "split", "kind", "of", "of_split"]
