"""Pretrained networks without training: on ImageNet's dogs in their study's environment, and on a counted example."""

from __future__ import annotations

import tarfile

import pandas as pd
import pytest
import yaml
from page_reader import read_markdown

from mixvision.pipelines.as_is.nodes import images_to_classify, measure
from mixvision.studies.transfer.tables import PRETRAINED_ON

pytestmark = pytest.mark.slow


def test_the_dogs_environment_on_imagenets_photos(run_pipeline, project, shared_data, tmp_path):
    """Every breed and some photos of something else, at 128 pixels, without the other domain, Stanford Dogs."""
    wnids = {name.partition("-")[0] for name in yaml.safe_load((project / "conf/dogs/breeds.yml").read_text())}
    with tarfile.open(shared_data("imagenet-samples.tar")) as archive:
        breeds = [member for member in archive.getmembers() if member.name[4:13] in wnids]
        others = [member for member in archive.getmembers() if member.name[4:13] not in wnids][::10]
        archive.extractall(tmp_path / "photos", [*breeds, *others], filter="data")
    settings = yaml.safe_load((project / "conf/dogs/globals.yml").read_text())
    settings |= {"image_size": 128, "nice": {**settings["nice"], "source": None}}
    settings["real"]["source"] = str(tmp_path / "photos")
    (project / "conf/dogs/globals.yml").write_text(yaml.safe_dump(settings))
    study = {"transfer": {"study": {"input_sizes": [128]}, "training": {"accelerator": "cpu"}}}
    (project / "conf/dogs/parameters_transfer.yml").write_text(yaml.safe_dump(study))

    project = run_pipeline("as_is", env="dogs")
    table = pd.read_csv(project / "data/08_reporting/dogs/as_is/table.csv").set_index("trial")
    assert list(table.index) == [f"tf_efficientnet_lite0, 128 pixels, {way}" for way in ("as is", "restricted")]
    free, among = table.to_dict("records")
    assert free["images"] == among["images"] == len(breeds) > 100
    assert 0.5 < free["top1"] <= among["top1"] < free["top5"] <= 1  # by guessing among the breeds: 0.02
    assert among["outside"] == 0 < free["outside"] < 0.25
    summary = (project / "data/08_reporting/dogs/as_is/summary.md").read_text()
    assert PRETRAINED_ON in summary and f"on {len(breeds)} of ImageNet's thousand classes" in summary
    for shown, row in zip(read_markdown(summary).to_dict("records"), (free, among), strict=True):
        assert [shown[name] for name in ("top1", "top5", "outside")] == [
            f"{row[name]:.3f}" for name in ("top1", "top5", "outside")
        ]


@pytest.fixture
def unsplit_manifest() -> pd.DataFrame:
    """Two images of a daisy, one of a crane, which is no class, one of a tench, and one that is excluded."""
    categories = ["daisy", "daisy", "crane", "tench", "tench"]
    rows = {"id": [f"real/{number}" for number in range(5)], "domain": "real", "category": categories}
    status = ["kept"] * 4 + ["excluded"]
    return pd.DataFrame(rows).assign(status=status, leaks="", component=range(5), pixel_row=range(5))


def test_only_images_of_imagenets_classes_are_classified(unsplit_manifest):
    judged = images_to_classify(unsplit_manifest)
    assert judged["status"].tolist() == ["kept", "kept", "excluded", "kept", "excluded"]
    assert judged["split"].tolist() == ["test", "test", "", "test", ""]
    assert unsplit_manifest["status"].tolist() == ["kept"] * 4 + ["excluded"]
    with pytest.raises(
        ValueError, match=r"None of the categories \(crane, \.\.\.\) .* WordNet ids .* transfer pipeline"
    ):
        images_to_classify(unsplit_manifest[unsplit_manifest["category"] == "crane"])


def test_answers_outside_the_study_are_counted(unsplit_manifest):
    said = {
        "as is": [["daisy", "tench", "x"], ["n1 goldfish", "daisy", "x"], ["n1 goldfish", "x", "y"]],
        "restricted": [["daisy", "tench"], ["daisy", "tench"], ["tench", "daisy"]],
    }
    rows = [
        {"trial": trial, "snapshot": "best_validation", "id": f"real/{image}"}
        | {f"prediction_{place}": name for place, name in enumerate(names, start=1)}
        | {f"probability_{place}": 0.2 for place in range(1, len(names) + 1)}
        for trial, answers in said.items()
        for image, names in zip((0, 1, 3), answers, strict=True)
    ]
    table, text = measure(pd.DataFrame(rows), unsplit_manifest)
    table = table.set_index("trial")[["images", "top1", "top5", "outside"]]
    assert table.loc["as is"].tolist() == pytest.approx([3, 1 / 3, 2 / 3, 2 / 3])
    assert table.loc["restricted"].tolist() == pytest.approx([3, 1, 1, 0])
    shown = read_markdown(text).set_index("trial")[["images", "top1", "top5", "outside"]]
    assert shown.loc["as is"].tolist() == ["3", "0.333", "0.667", "0.667"]
    assert shown.loc["restricted"].tolist() == ["3", "1.000", "1.000", "0.000"]
    assert "on 2 of ImageNet's thousand classes" in text
