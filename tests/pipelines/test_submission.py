"""Answers for unlabelled pictures: a row for each file, by the best trained model, whatever else is in their folder."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mixvision.datasets.tables import TableDataset
from mixvision.images.decoding import Decoding, decode_file
from mixvision.models.backbones import Backbone, load_backbone
from mixvision.models.trained import TrainedNetwork
from mixvision.models.transfer import transfer_network
from mixvision.pipelines.submission import nodes
from mixvision.pipelines.submission.nodes import classify_folder
from mixvision.schema.columns import TEXT
from mixvision.schema.metrics import TRANSFER_TABLE

pytestmark = pytest.mark.slow

CATEGORIES = ("001", "NA", "two words")
TABLE = pd.DataFrame(
    [
        ("worse", "head", 0.5),
        ("best", "fine-tuned", 0.7),
        ("mean-of-2", "ensemble, mean", 0.9),
        ("failed", "head", None),
    ],
    columns=["trial", "method", "validation_top1"],
)


@pytest.fixture(scope="module")
def model() -> TrainedNetwork:
    """An untrained model whose answers differ from picture to picture."""
    network = transfer_network(load_backbone(Backbone("test_resnet", "random")), 32, "linear", 3)
    network.head[1].weight.data *= 100
    arguments = {"backbone": "test_resnet", "input_size": 32, "head": "linear"}
    return TrainedNetwork("transfer", CATEGORIES, 24, network.state_dict(), arguments)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Seven pictures of many kinds and sizes, and files that are not pictures."""
    generator, folder = np.random.default_rng(0), tmp_path / "2024"
    folder.mkdir()
    for number, name in enumerate(("test_9.JPEG", "test_10.JPEG", "b.png", "c.bmp", "d.webp", "e.gif")):
        pixels = generator.integers(0, 256, (20 + 9 * number, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels // (number + 1) + 40 * number).save(folder / name)
    Image.fromarray(generator.integers(0, 256, (50, 40), dtype=np.uint8)).save(folder / "grey.jpg")
    (folder / "broken.jpg").write_bytes((folder / "grey.jpg").read_bytes()[:200])
    (folder / "empty.png").write_bytes(b"")
    (folder / "notes.txt").write_text("no picture")
    (folder / "of pictures.png").mkdir()
    (folder / "=1+2.png").write_bytes((folder / "b.png").read_bytes())
    return folder


def answer(folder: Path | str | int | None, model: TrainedNetwork) -> pd.DataFrame:
    models = {"best/best_validation": lambda: model}  # no other is to be loaded
    return classify_folder(folder, TABLE, models, Decoding())


@pytest.mark.parametrize("at_once", [3, 512])
def test_every_file_has_a_row_wherever_it_lies_and_whatever_its_name(folder, model, monkeypatch, at_once):
    monkeypatch.setattr(nodes, "AT_ONCE", at_once)
    for name in ("a b.png", "two\nlines.png", "=name.png", "no suffix", "of pictures.png/deeper.png"):
        (folder / name).write_bytes((folder / "b.png").read_bytes())
    (folder / "nowhere.png").symlink_to("gone")
    os.mkfifo(folder / "pipe.png")
    answers = answer(folder, model).set_index("file")
    reasons = {
        "broken.jpg": "truncated image: ",
        "empty.png": "empty file",
        "notes.txt": "not an image",
        "nowhere.png": "unreadable file: a link to nothing: gone",
        "pipe.png": "unreadable file: a named pipe, not a regular file",
    }
    pictures = {"b.png", "c.bmp", "d.webp", "e.gif", "grey.jpg", "test_10.JPEG", "test_9.JPEG", "=1+2.png"}
    pictures |= {"a b.png", "two\nlines.png", "=name.png", "no suffix", "of pictures.png/deeper.png"}
    assert list(answers.index) == sorted(pictures | set(reasons))
    for name, row in answers.iterrows():
        assert row["reason"].startswith(reasons.get(name, "")) and (row["category"] == "") == (name in reasons)
        if name in pictures:
            _, pixels = decode_file(folder / name, Decoding(24))
            assert row["category"] == CATEGORIES[model.classify(pixels[None])[0].argmax()] and row["reason"] == ""
    assert len(set(answers["category"])) > 2


def test_a_missing_folder_and_one_without_pictures_are_refused_by_name(folder, model, tmp_path, monkeypatch):
    for absent in (None, "", str(tmp_path / "absent"), str(folder / "grey.jpg")):
        what = f"unlabelled is {absent!r}, which is not a folder" if absent else "No folder is given"
        message = f"{re.escape(what)}: .*--params=unlabelled=<folder>"
        with pytest.raises(FileNotFoundError, match=message):
            answer(absent, model)
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match=r"no pictures in .*none: give a folder that holds some \(it is empty\)"):
        answer(tmp_path / "none", model)
    (tmp_path / "none" / "a.txt").write_text("no picture")
    with pytest.raises(ValueError, match=r"holds some \(a\.txt: not an image\)"):
        answer(tmp_path / "none", model)
    monkeypatch.chdir(tmp_path)
    pd.testing.assert_frame_equal(answer(2024, model), answer(folder, model))  # the command line passes a number


def test_the_pipeline_writes_the_answers(run_pipeline, project, folder, model):
    report = project / "data/08_reporting/letters"
    networks = project / "data/06_models/letters/transfer/networks/best"
    for path in (report / "transfer", networks):
        path.mkdir(parents=True)
    texts = {column.name: "" for column in TRANSFER_TABLE.columns if column.kind == TEXT}
    table = TRANSFER_TABLE.empty().reindex(TABLE.index).assign(**texts | {"status": "finished"} | dict(TABLE))
    table.to_csv(report / "transfer/table.csv", index=False)
    model.save(networks / "best_validation.safetensors")
    run_pipeline("submission", {"unlabelled": str(folder)}, {"study": "letters"})
    dataset = TableDataset(filepath=str(report / "submission/answers.csv"), schema="submission.answers")
    pd.testing.assert_frame_equal(dataset.load(), answer(folder, model), check_dtype=False)
