"""Results of other settings or images are never passed off as new."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner

from mixvision.datasets.images import ImageSourceDataset
from mixvision.datasets.published import PublishedDataset
from mixvision.provenance import FOLDER_OF_RUN, OLDER_RESULTS, Provenance
from mixvision.reporting.page import Page, render_page
from mixvision.training.config import Training


@dataclass(frozen=True)
class Splits:
    test: float = 0.15
    seed: object = 0


def divide(source: object, splits: Splits) -> tuple[dict, dict]:
    return {"test": splits.test}, {"test": 12}


def train(manifest: dict, training: Training) -> dict:
    return manifest | {"iterations": training.iterations}


def write_page(models: dict, training: Training) -> str:
    return render_page(Page("Digits", "Which ratio?", f"After {training.iterations} steps: 50%."))


INGEST = Node(divide, ["nice_source", "params:splits"], ["manifest", "counts"], name="divide", tags="ingest")
TRAIN = Node(train, ["manifest", "params:training"], "models", name="train", tags="train")
REPORT = Node(write_page, ["models", "params:training"], "page", name="write_page", tags="report")
WHOLE = Pipeline([INGEST, TRAIN, REPORT])


class Study:
    """A study of three steps whose commands can leave some of them out."""

    def __init__(self, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
        self.folder, self.caplog = folder, caplog
        self.source_settings: dict[str, object] = {}  # further ones
        (folder / "photos/apple").mkdir(parents=True)
        (folder / "photos/apple/1.png").touch()
        self.page = folder / "report/study/page.html"

    def catalog(self, source: str = "photos", **settings: object) -> DataCatalog:
        table = {"type": "kedro_datasets.json.JSONDataset"}
        parameters = {"training": Training(iterations=200), "splits": Splits()} | settings
        source_settings = {
            "domain": "nice",
            "source": str(self.folder / source),
            "filepath": str(self.folder / "raw/a/b"),
            **self.source_settings,
        }
        catalog = DataCatalog.from_config(
            {
                "nice_source": {"type": "mixvision.datasets.images.ImageSourceDataset", **source_settings},
                "manifest": table | {"filepath": str(self.folder / "manifest.json")},
                "counts": table | {"filepath": str(self.folder / "counts.json")},
                "models": table | {"filepath": str(self.folder / "models.json")},
                "page": {
                    "type": "mixvision.datasets.reports.PageDataset",
                    "filepath": str(self.page),
                    "metadata": {"mixvision": {"role": "page"}},
                },
            }
        )
        for name, value in parameters.items():
            catalog[f"params:{name}"] = MemoryDataset(value)
        return catalog

    def run(self, *steps: Node, whole: Pipeline = WHOLE, missing: bool = False, **changes: object) -> str:
        """What a run of these steps says at its end; the others of the pipeline are left out."""
        self.caplog.clear()
        catalog, hook = self.catalog(**changes), Provenance()
        hook.folder = self.folder / "records"
        run_params = {"pipeline_names": ["study"], "only_missing_outputs": missing}
        manager = _create_hook_manager()
        manager.register(hook)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("mixvision.provenance.pipelines", {"study": whole})
            hook.before_pipeline_run(run_params, Pipeline(steps), catalog)
            self.at_start = self.caplog.text
            SequentialRunner().run(Pipeline(steps), catalog, manager, only_missing_outputs=missing)
            hook.after_pipeline_run(run_params, catalog)
        assert (OLDER_RESULTS in run_params) == ("These results are of other" in self.caplog.text)
        return str(run_params.get(OLDER_RESULTS, ""))


@pytest.fixture
def study(tmp_path, caplog) -> Study:
    return Study(tmp_path, caplog)


def test_a_step_that_was_left_out_is_named_with_every_setting_that_would_differ(study):
    assert not study.run(training=Training(iterations=20)), "there are no results"
    assert not study.run(*WHOLE.nodes)
    assert not study.run(), "nothing changed"
    assert not study.run(*WHOLE.nodes, training=Training(iterations=20)), "everything is computed again"
    found = study.run(training=Training(iterations=200, evaluate_every=8), splits=Splits(test=0.3))
    assert "training.iterations was 20 and is now 200 (train and 1 more)" in found
    assert f"training.evaluate_every was {Training().evaluate_every} and is now 8 (" in found
    assert "splits.test was 0.15 and is now 0.3 (divide)" in found and "seed" not in found
    assert "leaves out steps that ran with other settings" in study.at_start, "before hours of work"


def test_a_report_written_with_other_settings_says_so_on_its_page_until_they_are_those_of_the_training(study):
    study.run(*WHOLE.nodes)
    found = study.run(REPORT, training=Training(iterations=20))
    assert found == "training.iterations was 200 and is now 20 (train)"
    text = study.page.read_text()
    assert "After 20 steps" in text and f"settings and data that are shown here: {found}.</p>" in text
    assert text.index("shown here") < text.index('class="answer"')
    study.run(REPORT)
    assert "shown here" not in study.page.read_text()


def test_images_that_are_others_are_named(study, tmp_path):
    study.run(*WHOLE.nodes)
    (tmp_path / "photos/.DS_Store").touch()
    assert not study.run(), "a system's own files are no images"
    (tmp_path / "photos/apple/2.png").touch()
    found = study.run()
    assert found.startswith("nice.files was 1 files (") and "and is now 2 files (" in found
    (tmp_path / "photos/apple/2.png").unlink()
    shutil.copytree(tmp_path / "photos", tmp_path / "others")
    assert study.run(source="others").endswith(f"photos and is now {tmp_path}/others (divide)")
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    assert not study.run(), "nobody knows whether photos that are gone are others"


def test_settings_of_files_say_what_is_in_them_and_not_where_the_project_is(tmp_path):
    told = []
    for folder, text in (("here", "Apple: [Apple*]"), ("there", "Apple: [Apple*]"), ("there", "Apple: [Cherry*]")):
        (tmp_path / folder).mkdir(exist_ok=True)
        mapping = tmp_path / folder / "varieties.yml"
        mapping.write_text(text)
        source = ImageSourceDataset(domain="nice", source="photos.tar", filepath="unpacked", mapping=str(mapping))
        told.append((source.settings(), PublishedDataset(filepath=str(mapping)).settings()))
    assert told[0] == told[1] and all(here != other for here, other in zip(told[0], told[2], strict=True))


def test_tables_that_a_source_reads_are_compared(tmp_path):
    told = set()
    (tmp_path / "photos").mkdir()
    for text in ("file,plant", "file,shrub"):
        (tmp_path / "photos/plants.csv").write_text(text)
        for given in ({"group": {"table": "plants.csv"}}, {"labels": "plants.csv"}, {"split": {"table": "plants.csv"}}):
            source = ImageSourceDataset(domain="nice", source=str(tmp_path / "photos"), filepath="unpacked", **given)
            told.add(str(source.settings()))
    assert len(told) == 6


def test_one_source_or_group_written_in_two_ways_is_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    told = set()
    for source in ("photos", "photos/", "./photos", "link", str(tmp_path / "photos")):
        for group in ({"table": "t.csv", "file": "a"}, {"file": "a", "table": "t.csv"}):
            dataset = ImageSourceDataset(domain="nice", source=source, filepath="unpacked", group=group)
            told.add(tuple(sorted(dataset.settings().items())))
    assert len(told) == 1 and ("nice.source", "photos") in told.pop()


def test_a_table_that_was_edited_is_named_with_its_file(study, tmp_path):
    (tmp_path / "photos/shots.csv").write_text("file,group")
    group = {"group": {"table": "shots.csv", "file": "file", "group": "group"}}
    study.source_settings = group
    study.run(*WHOLE.nodes)
    (tmp_path / "photos/shots.csv").write_text("file,groups")
    assert study.run().startswith("nice.group, the content of shots.csv, was ")


def test_results_that_were_deleted_need_no_warning(study, tmp_path):
    study.run(*WHOLE.nodes)
    study.page.unlink()
    (tmp_path / "models.json").unlink()
    assert not study.run(INGEST, training=Training(iterations=20))


def test_an_archive_is_the_same_wherever_it_is_and_another_one_is_named(tmp_path):
    def told(name: str, content: bytes) -> str:
        (tmp_path / name).write_bytes(content)
        os.utime(tmp_path / name, (1, len(content)))
        return ImageSourceDataset(domain="nice", source=str(tmp_path / name), filepath="a/b/c").settings()["nice.files"]

    assert told("one.zip", b"zip" * 9) == told("two.zip", b"zip" * 9) != told("three.zip", b"zap" * 9)


def test_steps_that_read_what_has_changed_since_are_named(study):
    study.run(*WHOLE.nodes)
    study.run(INGEST)
    assert not study.run(), "the same images in the same splits"
    study.run(INGEST, splits=Splits(test=0.3))
    assert study.run(splits=Splits(test=0.3)) == "manifest has changed since train read it"
    study.run(REPORT, splits=Splits(test=0.3))
    assert "manifest has changed since train read it.</p>" in study.page.read_text()


def test_a_report_made_again_from_older_models_says_so(study):
    """Nothing but the report was missing."""
    study.run(*WHOLE.nodes)
    study.page.unlink()
    found = study.run(*WHOLE.nodes, missing=True, training=Training(iterations=20))
    assert found == "training.iterations was 200 and is now 20 (train)" and found in study.page.read_text()


def test_a_step_that_would_read_another_table_is_named(study):
    """Tuned mixing gives its trials the name of those of mixing."""
    study.run(*WHOLE.nodes)
    tuned = Node(lambda *_: 1, ["manifest", "params:training", "chosen"], "models", name="train", tags="train")
    whole = Pipeline([INGEST, tuned, REPORT])
    assert study.run(whole=whole) == "train did not read chosen, which it would read now"
    record = study.folder / "records/models.json"
    record.write_text(record.read_text().replace('"manifest"', '"chosen": "", "manifest"'))
    assert study.run() == "train read chosen, which it would not read now"
    assert not study.run(whole=whole)


def test_models_of_an_earlier_training_are_not_those_of_one_that_failed(study):
    study.run(*WHOLE.nodes)
    failing = Node(lambda *_: 1 / 0, ["manifest", "params:training"], "models", name="train", tags="train")
    with pytest.raises(ZeroDivisionError):
        study.run(failing, training=Training(iterations=20))
    found = study.run(REPORT, training=Training(iterations=20))
    assert found == "training.iterations was 200 and is now 20 (train)"


def test_results_without_a_record_are_not_taken_for_new_ones(study):
    """They are of an earlier version, or their step was cut off as it saved them."""
    study.run(*WHOLE.nodes)
    record = study.folder / "records/models.json"
    for damage in ("{", "[]", '{"step": "train"}', ""):
        record.write_text(damage)
        assert study.run() == "nobody knows with which settings and data train ran"
    record.unlink()
    assert study.run(REPORT) == "nobody knows with which settings and data train ran"
    assert "nobody knows with which settings" in study.page.read_text()
    study.run(TRAIN, REPORT)
    assert not study.run() and "nobody knows" not in study.page.read_text()


def test_a_setting_that_is_a_mapping_is_compared_as_a_whole(study):
    """Of one that was removed or added, no name would be in both."""
    study.run(*WHOLE.nodes, splits=Splits(seed={"lite": 1}))
    for other in ({"lite": 1, "resnet50": 1}, {}, None):
        assert study.run(splits=Splits(seed=other)) == f"splits.seed was {{'lite': 1}} and is now {other} (divide)"


def test_many_differences_are_counted(study):
    study.run(*WHOLE.nodes)
    other = Training(iterations=20, evaluate_every=5, checkpoint_every=7, stack_size=2, accelerator="cpu")
    found = study.run(training=other, splits=Splits(test=0.3, seed=1))
    assert found.count(" was ") == 5 and found.endswith("; and 2 more")


def test_nothing_is_written_where_no_project_is_known(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(FOLDER_OF_RUN, raising=False)
    Provenance().before_node_run(INGEST, DataCatalog())
    Provenance().after_dataset_saved("manifest", INGEST)
    assert not list(Path().iterdir())
