from __future__ import annotations

import base64
import io
import re
import shutil

import numpy as np
import pytest
from damage import flip
from kedro.io import DatasetError
from PIL import Image

from mixvision.datasets.images import ImageSourceDataset, ImageStoreDataset
from mixvision.datasets.previews import GAP, SIDE
from mixvision.images.decoding import Decoding
from mixvision.images.store import PendingImages


@pytest.fixture
def shots(tmp_path):
    for number, category in enumerate(("apple", "pear")):
        (tmp_path / "shots" / category).mkdir(parents=True)
        Image.new("RGB", (20, 20), (number * 100, 50, 0)).save(tmp_path / "shots" / category / "a.png")
    return tmp_path / "shots"


def test_source_then_store(shots, tmp_path):
    source = ImageSourceDataset(domain="real", source=str(shots), filepath=str(tmp_path / "data" / "raw" / "real"))
    raw = source.load()
    assert raw.files == (("apple", "apple/a.png"), ("pear", "pear/a.png"))
    store = ImageStoreDataset(filepath=str(tmp_path / "store"))
    assert not store.exists()
    store.save(PendingImages(raw, Decoding(size=16)))
    assert store.exists()
    np.testing.assert_array_equal(store.load().pixels[:, 0, 0], [(0, 50, 0), (100, 50, 0)])


def test_a_store_is_the_same_wherever_its_images_are_and_another_one_with_another_image(shots, tmp_path):
    def digest(folder) -> str:
        source = ImageSourceDataset(domain="real", source=str(folder), filepath=str(tmp_path / "data/raw/real"))
        store = ImageStoreDataset(filepath=str(tmp_path / "store"))
        store.save(PendingImages(source.load(), Decoding(size=16)))
        return store.content_digest()

    first = digest(shots)
    assert digest(shutil.copytree(shots, tmp_path / "copied", copy_function=shutil.copyfile)) == first
    Image.new("RGB", (20, 20), (9, 9, 9)).save(shots / "pear/a.png")
    assert digest(shots) != first


def test_a_store_shows_some_of_its_images(shots, tmp_path):
    """From the first to the last; before there is one, its description."""
    store = ImageStoreDataset(filepath=str(tmp_path / "store"), metadata={"description": "Pixels < files."})
    described = '<p style="max-width: 366px">Pixels &lt; files.</p>'
    assert store.preview() == described
    source = ImageSourceDataset(domain="real", source=str(shots), filepath=str(tmp_path / "data" / "raw" / "real"))
    store.save(PendingImages(source.load(), Decoding(size=16)))
    text, _, picture = store.preview().partition("base64,")
    assert text.startswith(f"{described}<p>2 images of 2 categories</p><img ")
    shown = Image.open(io.BytesIO(base64.b64decode(picture.partition('"')[0])))
    first, second, third = (shown.getpixel((SIDE // 2 + place * (SIDE + GAP), SIDE // 2)) for place in range(3))
    assert (first, second, third) == ((0, 50, 0, 255), (100, 50, 0, 255), (0, 0, 0, 0))


def test_a_store_without_images_says_so(tmp_path):
    source = ImageSourceDataset(domain="nice", source=None, filepath=str(tmp_path / "a" / "b" / "c"))
    store = ImageStoreDataset(filepath=str(tmp_path / "store"))
    store.save(PendingImages(source.load(), Decoding(size=16)))
    assert store.preview() == "<p>0 images of 0 categories</p>"


def test_labels_name_the_categories(shots, tmp_path):
    (shots / "labels.txt").write_text("a.png\tfruit\n")
    source = ImageSourceDataset(
        domain="real",
        source=str(shots),
        filepath=str(tmp_path / "a" / "b" / "c"),
        layout="apple/*",
        labels="labels.txt",
    )
    assert source.load().files == (("fruit", "apple/a.png"), ("", "labels.txt"), ("", "pear/a.png"))


def test_an_absent_domain_passes_the_check_and_has_no_images(tmp_path):
    source = ImageSourceDataset(
        domain="nice", source=None, filepath=str(tmp_path / "a" / "b" / "c"), mapping=str(tmp_path / "absent.yml")
    )
    source.check()
    store = ImageStoreDataset(filepath=str(tmp_path / "store"))
    store.save(PendingImages(source.load(), Decoding(size=16)))
    assert store.exists() and store.load().inventory.empty and store.load().pixels.shape == (0, 16, 16, 3)


def test_a_folder_called_by_a_number_is_a_folder(shots, tmp_path, monkeypatch):
    shots.rename(tmp_path / "2024")
    monkeypatch.chdir(tmp_path)
    source = ImageSourceDataset(domain="real", source=2024, filepath=str(tmp_path / "a" / "b" / "c"))
    source.check()
    assert len(source.load().files) == 2


def test_a_missing_source_is_refused_with_its_path_alone(tmp_path):
    absent = str(tmp_path / "absent")
    source = ImageSourceDataset(domain="nice", source=absent, filepath=str(tmp_path / "a" / "b"))
    with pytest.raises(DatasetError, match=rf"^The source of 'nice' images, {re.escape(repr(absent))}, does not exist"):
        source.load()
    with pytest.raises(DatasetError, match="^The source of 'nice' images is read-only"):
        source.save(1)


def test_check_finds_missing_files_and_fetches_nothing(shots, tmp_path):
    def source(name, **options):
        return ImageSourceDataset(domain="nice", source=name, filepath=str(tmp_path / "a" / "b" / "c"), **options)

    for name in (str(shots), "http://127.0.0.1:9/absent.tar", "package:digits"):
        source(name).check()
    missing_source, missing_mapping = tmp_path / "absent", tmp_path / "absent.yml"
    with pytest.raises(DatasetError, match=f"^The source of 'nice' images, .* looked for {missing_source}\\."):
        source(str(missing_source)).check()
    with pytest.raises(DatasetError, match=f"^The mapping of categories, {missing_mapping}, does not exist"):
        source(str(shots), mapping=str(missing_mapping)).check()
    assert not (tmp_path / "a").exists()


def test_a_checksum_applies_only_to_the_source_that_it_was_given_for(shots, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "shots"), "zip", shots)
    folder = str(tmp_path / "a" / "b" / "c")
    for configured in (None, archive):
        source = ImageSourceDataset(
            domain="nice", source=archive, filepath=folder, sha256="0" * 64, sha256_of=configured
        )
        with pytest.raises(DatasetError, match=f"^The archive {archive} has the sha256 checksum .*, but {'0' * 64} is"):
            source.load()
    overridden = ImageSourceDataset(
        domain="nice", source=archive, filepath=folder, sha256="0" * 64, sha256_of="package:mnist"
    )
    assert len(overridden.load().files) == 2


def test_an_empty_store_cannot_be_loaded(tmp_path):
    with pytest.raises(DatasetError, match=f"no decoded images in {tmp_path}: run the ingestion pipeline"):
        ImageStoreDataset(filepath=str(tmp_path)).load()


@pytest.mark.parametrize("name", ["pixels.npy", "inventory.parquet", "thumbnails.npy"])
@pytest.mark.parametrize("is_cut", [False, True])
def test_a_later_run_refuses_damaged_images_by_name(shots, tmp_path, name, is_cut):
    """As one that starts after ingestion, which would decode them again."""
    source = ImageSourceDataset(domain="real", source=str(shots), filepath=str(tmp_path / "raw"))
    ingested = ImageStoreDataset(filepath=str(tmp_path / "store"))
    ingested.save(PendingImages(source.load(), Decoding(size=24)))
    file = tmp_path / "store" / name
    if is_cut:
        file.write_bytes(file.read_bytes()[:-100])
    else:
        flip(file, 0.9)
    with pytest.raises(DatasetError, match=rf"{file} is damaged.* Run the ingestion pipeline"):
        ImageStoreDataset(filepath=str(tmp_path / "store")).load()
    ingested.save(PendingImages(source.load(), Decoding(size=24)))
    ImageStoreDataset(filepath=str(tmp_path / "store")).load()
