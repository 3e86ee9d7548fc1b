from __future__ import annotations

import re
import shutil

import pandas as pd
import pytest
from PIL import Image

from mixvision.images.audit import audit_splits, summarise_audit
from mixvision.images.categories import Categories, common_categories, large_categories
from mixvision.images.decoding import Decoding
from mixvision.images.duplicates import Duplicates
from mixvision.images.leaks import list_leaks
from mixvision.images.manifest import build_manifest, excluded_files, require_images, select_images, split_manifest
from mixvision.images.outliers import Outliers, find_outliers
from mixvision.images.sources import open_source
from mixvision.images.splits import Splits
from mixvision.images.store import ImageStore, PendingImages, read_store, write_store
from mixvision.schema.tables import MANIFEST


@pytest.fixture
def folder(tmp_path, make_folder):
    make_folder(tmp_path / "shots" / "nice", {"apple": 14, "pear": 12, "Quince": 3})
    make_folder(tmp_path / "shots" / "real", {"apple": 11, "pear": 12, "quince": 3}, seed=1)
    return tmp_path / "shots"


@pytest.fixture
def stores(folder, tmp_path):
    """Decode the folder as it is now: `stores(group)` gives nice and real."""

    def opened(group: dict | None = None) -> list[ImageStore]:
        found = []
        for domain in ("nice", "real"):
            raw = open_source(str(folder), domain, tmp_path / "data" / "raw" / domain, group=group)
            write_store(PendingImages(raw, Decoding(size=16)), tmp_path / domain)
            found.append(read_store(tmp_path / domain))
        return found

    return opened


def manifest_of(stores, categories=None, outliers=None, group=None) -> tuple[pd.DataFrame, pd.DataFrame]:
    nice, real = stores(group)
    selected = select_images(nice, real, categories or Categories(), outliers or Outliers())
    require_images(selected, categories or Categories())
    return build_manifest(selected, nice, real, Duplicates())


def test_manifest_has_a_row_per_file(stores):
    manifest, pairs = manifest_of(stores)
    assert list(manifest.columns) == MANIFEST.names and len(manifest) == 55 and pairs.empty
    assert manifest["id"].is_unique and manifest["id"].is_monotonic_increasing
    excluded = manifest[manifest["status"] == "excluded"]
    assert set(excluded["category"]) == {"Quince", "quince"}
    assert set(excluded["reason"]) == {"category in one domain only"} and set(excluded["cluster"]) == {-1}
    kept = manifest[manifest["status"] == "kept"]
    assert (kept["reason"] == "").all() and kept["cluster"].is_unique and (kept["cluster"] >= 0).all()
    again, _ = manifest_of(stores)
    pd.testing.assert_frame_equal(manifest, again)


def test_bad_files_copies_and_mislabelled_pictures_are_excluded(folder, stores):
    apple = folder / "nice" / "apple"
    (apple / "bad.png").write_bytes(b"no image")
    (apple / "z_copy.png").write_bytes((apple / "000.png").read_bytes())
    Image.open(apple / "001.png").save(apple / "z_other_file_same_pixels.bmp")
    (folder / "real" / "pear" / "z.png").write_bytes((apple / "002.png").read_bytes())
    (folder / "real" / "apple" / "z.png").write_bytes((apple / "003.png").read_bytes())
    manifest, _ = manifest_of(stores)
    reasons = manifest.set_index("id")["reason"]
    assert reasons["nice/apple/bad.png"] == "not an image"
    assert reasons["nice/apple/z_copy.png"] == "exact duplicate: of nice/apple/000.png"
    assert reasons["nice/apple/z_other_file_same_pixels.bmp"] == "exact duplicate: of nice/apple/001.png"
    for name in ("nice/apple/002.png", "real/pear/z.png"):
        assert reasons[name] == (
            "same picture in different categories: apple (nice/apple/002.png), pear (real/pear/z.png)"
        )
    assert reasons["nice/apple/003.png"] == ""
    assert reasons["real/apple/z.png"] == "exact duplicate: of nice/apple/003.png"
    files, counts = excluded_files(manifest, {})
    assert counts["files"].sum() == len(files) == 12
    assert counts.set_index(["domain", "kind"])["files"][("nice", "exact duplicate")] == 2


def test_pictures_with_equal_centres_are_not_the_same_picture(folder, stores):
    """Wide photos of different sides around a white centre: the stored squares are equal, the photos are not."""
    for number, side in enumerate([(200, 0, 0), (0, 200, 0), (0, 0, 200)]):
        wide = Image.new("RGB", (96, 32), "white")
        wide.paste(side, (0, 0, 30, 32))
        wide.save(folder / "real" / ("apple", "pear")[number % 2] / f"wide {number}.png")
    manifest, _ = manifest_of(stores)
    wide = manifest[manifest["path"].str.contains("wide")]
    assert len(wide) == 3 and set(wide["status"]) == {"kept"}


def test_every_file_found_is_in_the_manifest_or_counted(folder, stores):
    (folder / "nice" / "loose.png").write_bytes((folder / "nice/apple/000.png").read_bytes())
    manifest, _ = manifest_of(stores)
    row = manifest.set_index("id").loc["nice/loose.png"]
    assert (row["category"], row["status"], row["reason"]) == ("", "excluded", "outside the layout")
    _, counts = excluded_files(manifest, {"nice": {"Fig": 7}, "real": {}})
    files = counts.set_index(["domain", "kind"])["files"]
    assert files[("nice", "outside the layout")] == 1 and files[("nice", "folder not in the mapping: Fig")] == 7


def test_near_duplicates_across_domains_share_a_split(folder, stores):
    for name in ("000", "001", "002"):
        picture = Image.open(folder / "nice" / "apple" / f"{name}.png")
        picture.resize((48, 48), Image.Resampling.BICUBIC).save(folder / "real" / "apple" / f"z{name}.jpg", quality=90)
    manifest, pairs = manifest_of(stores)
    expected = [[f"nice/apple/{name}.png", f"real/apple/z{name}.jpg"] for name in ("000", "001", "002")]
    assert pairs.to_numpy().tolist() == expected
    for seed in range(5):
        split = split_manifest(manifest, Splits(seed=seed)).set_index("id")["split"]
        assert all(split[left] == split[right] for left, right in expected)


def test_images_of_a_group_share_a_component(folder, stores):
    """Groups by the first two digits. A near-duplicate links two of them, and so does a copy that is left out."""
    apple, pear = folder / "real" / "apple", folder / "real" / "pear"
    Image.open(apple / "000.png").resize((48, 48), Image.Resampling.BICUBIC).save(pear / "203.png")
    (apple / "306.png").write_bytes((apple / "010.png").read_bytes())
    Image.open(apple / "004.png").rotate(180).save(pear / "300.png")
    manifest, _ = manifest_of(stores, group={"pattern": r"/(?P<group>\d\d)\d"})
    images = manifest.set_index("id")
    assert images.loc["real/apple/306.png", ["reason", "group", "component"]].tolist() == [
        "exact duplicate: of real/apple/010.png", "30", -1,
    ]  # fmt: skip
    together = images.groupby("component").groups
    assert {len(ids) for number, ids in together.items() if number >= 0} == {20, 6, 21, 4}
    components = images["component"]
    assert components["nice/apple/000.png"] == components["nice/pear/009.png"] != components["real/apple/000.png"]
    assert components["real/apple/000.png"] == components["real/pear/203.png"]
    assert components["real/apple/010.png"] == components["real/pear/300.png"]


def test_excluded_rows_have_no_split(stores):
    manifest = split_manifest(manifest_of(stores)[0], Splits())
    excluded = manifest["status"] == "excluded"
    assert set(manifest.loc[excluded, "split"]) == {""} and set(manifest.loc[~excluded, "split"]) > {"train", "test"}
    assert list(manifest.columns) == MANIFEST.names and manifest["leaks"].dtype == bool


def test_too_few_images_are_refused_with_category_and_domain(stores):
    with pytest.raises(ValueError, match=r"minimum = 12: real 'apple' \(11\)\. Add"):
        manifest_of(stores, Categories(minimum=12))


def test_the_message_says_why_there_are_too_few(folder, stores):
    for number, path in enumerate(sorted((folder / "real" / "apple").iterdir())):
        if number < 5:
            path.write_bytes(b"\xff\x0a JPEG XL")
        elif number < 9:
            path.write_bytes((folder / "nice" / "apple" / f"{number:03d}.png").read_bytes())
        elif number == 9:
            path.unlink()
            path.symlink_to("nowhere")
    message = (
        "real 'apple' (1; excluded: 5 unsupported image: JPEG XL, convert it to JPEG or PNG, 4 exact "
        "duplicate: of nice/apple/005.png, 1 unreadable file: a link to nothing: nowhere). Add images"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        manifest_of(stores)
    nice, real = stores()
    files, counts = excluded_files(select_images(nice, real, Categories(), Outliers()), {})
    assert (files["domain"] == "real").sum() == 10 + 3 and counts["files"].sum() == len(files)


def test_the_same_folder_for_both_domains_is_guessed(folder, stores):
    same = r"are both sources the same folder\? Give each domain its own images"
    with pytest.raises(ValueError, match="Too few") as different:
        manifest_of(stores, Categories(minimum=12))
    shutil.rmtree(folder / "real")
    shutil.copytree(folder / "nice", folder / "real")
    with pytest.raises(ValueError, match=same) as equal:
        manifest_of(stores)
    assert "Too few" not in str(equal.value) and "same folder" not in str(different.value)


def test_unmatched_categories_suggest_near_misses(caplog):
    names = ["apple", "pear", "Quince"], ["apple", "pear", "quince"]
    with pytest.raises(ValueError, match=r"only nice has 'Quince' \(did you mean 'quince'\?\)"):
        common_categories(*names, Categories(unmatched="error"))
    assert common_categories(*names, Categories()) == ["apple", "pear"]
    (warning,) = caplog.records
    assert warning.args == (
        "only nice has 'Quince' (did you mean 'quince'?); only real has 'quince' (did you mean 'Quince'?)",
    )


def test_too_few_categories_are_errors():
    with pytest.raises(ValueError, match=r"in both domains: 1, but at least two .* only nice has 'fig'\."):
        common_categories(["apple", "fig"], ["apple"], Categories())
    with pytest.raises(ValueError, match=r"no images: set nice\.source, real\.source or both"):
        common_categories([], [], Categories())
    with pytest.raises(ValueError, match=r"only domain, 'real', are all in the category 'fig'"):
        common_categories([], ["fig"], Categories())
    with pytest.raises(ValueError, match=r"nice 'fig' \(0\)"):
        figs = pd.DataFrame({"domain": ["real"], "category": ["fig"], "status": ["kept"], "reason": [""]})
        large_categories(figs, ["fig"], ["nice", "real"], Categories())


@pytest.mark.parametrize("domain", ["nice", "real"])
def test_a_study_of_one_domain(folder, stores, tmp_path, domain):
    """All categories of the only domain count; apart from the other's rows, all is as in a study of both domains."""
    write = Image.open(folder / domain / "apple" / "000.png").resize((48, 48), Image.Resampling.BICUBIC).save
    write(folder / domain / "apple" / "again.jpg", quality=90)
    (folder / domain / "pear" / "copy.png").write_bytes((folder / domain / "pear" / "000.png").read_bytes())
    (folder / domain / "pear" / "empty.png").write_bytes(b"")

    def without_the_other(*_) -> list[ImageStore]:
        both = dict(zip(("nice", "real"), stores(), strict=True))
        other = "real" if domain == "nice" else "nice"
        raw = open_source(None, other, tmp_path / "data" / "raw" / other)
        write_store(PendingImages(raw, Decoding(size=16)), tmp_path / other)
        return list((both | {other: read_store(tmp_path / other)}).values())

    manifest, pairs = manifest_of(without_the_other, Categories(minimum=3))
    assert list(manifest.columns) == MANIFEST.names and set(manifest["domain"]) == {domain}
    assert (manifest.dtypes == manifest_of(stores)[0].dtypes).all()
    kept = manifest[manifest["status"] == "kept"]
    assert {name.lower() for name in kept["category"]} == {"apple", "pear", "quince"}
    assert set(manifest["reason"]) == {"", "empty file", f"exact duplicate: of {domain}/pear/000.png"}
    assert pairs.to_numpy().tolist() == [[f"{domain}/apple/000.png", f"{domain}/apple/again.jpg"]]
    split = split_manifest(manifest, Splits())
    audit = audit_splits(split)
    assert len(audit) == 3 and (audit[["train", "validation", "test"]] > 0).all(axis=None)
    assert (
        summarise_audit(split, pairs, list_leaks(split, pairs), Splits()).set_index("finding")["count"][
            "near-duplicate pairs"
        ]
        == 1
    )
    with pytest.raises(ValueError, match=rf"minimum = 10: {domain} '[Qq]uince' \(3\)\."):
        manifest_of(without_the_other)


def test_small_categories_can_be_left_out_with_a_warning(folder, make_folder, stores, caplog):
    """Fig has too few images in one domain, quince after its copies are excluded."""
    make_folder(folder / "nice", {"fig": 12, "quince": 12}, seed=2)
    make_folder(folder / "real", {"fig": 9}, seed=3)
    make_folder(folder / "real", {"quince": 10}, seed=4)
    (folder / "real/quince/000.png").write_bytes((folder / "real/quince/001.png").read_bytes())
    with pytest.raises(ValueError, match=r"minimum = 10: real 'fig' \(9\), real 'quince' \(9; excluded: 1 exact dup"):
        manifest_of(stores)
    caplog.clear()
    manifest, _ = manifest_of(stores, Categories(too_few="leave out"))
    kept = manifest[manifest["status"] == "kept"]
    assert set(kept["category"]) == {"apple", "pear"} and (kept["cluster"] >= 0).all()
    small = manifest[manifest["reason"] == "category with too few images"]
    assert small.groupby("category").size().to_dict() == {"fig": 21, "quince": 21}
    assert set(small["status"]) == {"excluded"} and set(small["cluster"]) == {-1}
    (warning,) = (record for record in caplog.records if record.args == (10, "real 'fig' (9), real 'quince' (9)"))
    assert warning.levelname == "WARNING"


def test_two_categories_must_remain(stores):
    with pytest.raises(ValueError, match=r"minimum = 12: real 'apple' \(11\)\. .*at least two categories must remain"):
        manifest_of(stores, Categories(minimum=12, too_few="leave out"))


@pytest.mark.parametrize("values", [{"unmatched": "ignore"}, {"minimum": 0}, {"too_few": "warn"}])
def test_bad_category_parameters_are_refused_with_their_values(values):
    ((name, value),) = values.items()
    start = re.escape(f"{name} is {value!r}")
    with pytest.raises(ValueError, match=f"{start}( images)?(, but must be |; choose one of )"):
        Categories(**values)


@pytest.mark.parametrize(
    ("outliers", "expected"),
    [
        (Outliers(), {}),
        (
            Outliers(dimensions=[[300, 300], [300, 200]]),
            {"b": "outlier by dimensions: 200x300", "d": "outlier by dimensions: 40x40"},
        ),
        (Outliers(smallest_side=200), {"d": "outlier by shorter side: 40x40"}),
        (
            Outliers(largest_aspect_ratio=1.4),
            {"b": "outlier by aspect ratio: 200x300", "c": "outlier by aspect ratio: 300x200"},
        ),
    ],
)
def test_outliers(outliers, expected):
    pictures = pd.DataFrame({"id": list("abcd"), "width": [300, 200, 300, 40], "height": [300, 300, 200, 40]})
    assert find_outliers(pictures, outliers).to_dict() == expected


def test_outliers_keep_their_reason_in_the_manifest(folder, stores):
    Image.new("RGB", (90, 10), "red").save(folder / "nice" / "apple" / "banner.png")
    manifest, _ = manifest_of(stores, outliers=Outliers(largest_aspect_ratio=3))
    row = manifest.set_index("id").loc["nice/apple/banner.png"]
    assert (row["status"], row["reason"]) == ("excluded", "outlier by aspect ratio: 90x10") and row["pixel_row"] >= 0


@pytest.mark.parametrize(
    "values", [{"dimensions": [[300]]}, {"dimensions": [[0, 3]]}, {"smallest_side": 0}, {"largest_aspect_ratio": 0.5}]
)
def test_bad_outlier_parameters_are_refused_with_their_values(values):
    ((name, value),) = values.items()
    shown = value[0] if name == "dimensions" else value
    with pytest.raises(ValueError, match=rf"{name} (is|holds) {re.escape(str(shown))}( pixels)?, but must "):
        Outliers(**values)
