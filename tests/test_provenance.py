"""Results of other settings or images are never passed off as new."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline

from mixvision.datasets.images import ImageSourceDataset
from mixvision.datasets.published import PublishedDataset
from mixvision.datasets.reports import PageDataset
from mixvision.provenance import FOLDER_OF_RUN, OLDER_RESULTS, Provenance
from mixvision.reporting.page import Page, render_page
from mixvision.training.config import Training


@dataclass(frozen=True)
class Splits:
    test: float = 0.15
    seed: int = 0


def write_page(models: object, training: Training) -> str:
    return render_page(Page("Digits", "Which ratio?", f"After {training.iterations} steps: 50%."))


INGEST = Node(
    lambda source, splits: "images", ["nice_source", "params:splits"], "manifest", name="divide", tags="ingest"
)
TRAIN = Node(lambda images, training: "networks", ["manifest", "params:training"], "models", name="train", tags="train")
REPORT = Node(write_page, ["models", "params:training"], "page", name="write_page", tags="report")
WHOLE = Pipeline([INGEST, TRAIN, REPORT])


class Study:
    """A study of three steps whose commands can leave some of them out."""

    def __init__(self, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
        self.folder, self.caplog = folder, caplog
        (folder / "photos").mkdir()
        (folder / "photos/apple.png").touch()

    def run(self, *steps: Node, source: str = "photos", whole: Pipeline = WHOLE, **parameters: object) -> str:
        """What a run of these steps, with the others of the pipeline left out, says at its end."""
        self.caplog.clear()
        datasets = {"training": Training(iterations=200), "splits": Splits()} | parameters
        catalog = DataCatalog({f"params:{name}": MemoryDataset(value) for name, value in datasets.items()})
        where = {"domain": "nice", "source": str(self.folder / source), "filepath": str(self.folder / "unpacked")}
        catalog["nice_source"] = ImageSourceDataset(**where)
        catalog["page"] = PageDataset(filepath=str(self.page), metadata={"mixvision": {"role": "page"}})
        hook, run_params = Provenance(), {"pipeline_names": ["study"]}
        hook.folder = self.folder / ".provenance"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("mixvision.provenance.pipelines", {"study": whole})
            hook.before_pipeline_run(run_params, Pipeline(steps), catalog)
            self.at_start = self.caplog.text
            for node in steps:
                hook.before_node_run(node, catalog)
                if node is REPORT:
                    catalog.save("page", write_page("networks", catalog.load("params:training")))
                hook.after_node_run(node, catalog)
            hook.after_pipeline_run(run_params, catalog)
        assert (OLDER_RESULTS in run_params) == ("These results are of other" in self.caplog.text)
        return str(run_params.get(OLDER_RESULTS, ""))

    @property
    def page(self) -> Path:
        return self.folder / "report/study/page.html"


@pytest.fixture
def study(tmp_path, caplog) -> Study:
    return Study(tmp_path, caplog)


def test_a_step_that_was_left_out_is_named_with_every_setting_that_would_differ(study):
    assert not study.run(training=Training(iterations=20)), "nothing is known of an earlier version's results"
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
    (tmp_path / "photos/cherry.png").touch()
    found = study.run()
    assert found.startswith("nice.files was 1 files (") and "and is now 2 files (" in found
    (tmp_path / "photos/cherry.png").unlink()
    (tmp_path / "others").mkdir()
    (tmp_path / "others/apple.png").touch()
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


def test_an_archive_that_is_another_one_is_named(study, tmp_path):
    archive = tmp_path / "photos.zip"
    archive.write_bytes(b"zip")
    study.run(*WHOLE.nodes, source="photos.zip")
    assert not study.run(source="photos.zip")
    os.utime(archive, (1, 1))
    assert "nice.files was 3 bytes of 2" in study.run(source="photos.zip")


def test_steps_that_read_what_was_made_anew_since_are_named(study):
    study.run(*WHOLE.nodes)
    study.run(INGEST)
    assert not study.run(), "the same images in the same splits"
    study.run(INGEST, splits=Splits(test=0.3))
    assert study.run(splits=Splits(test=0.3)) == "manifest was made anew after train had read it"
    study.run(REPORT, splits=Splits(test=0.3))
    assert "manifest was made anew after train had read it.</p>" in study.page.read_text()


def test_a_step_that_would_read_another_table_is_named(study):
    """Tuned mixing gives its trials the name of those of mixing."""
    study.run(*WHOLE.nodes)
    tuned = Node(lambda *_: 1, ["manifest", "params:training", "chosen"], "models", name="train", tags="train")
    assert study.run(whole=Pipeline([INGEST, tuned, REPORT])) == "chosen was not read by train"


def test_a_step_that_was_cut_off_is_not_known(study):
    """Its outputs may be of either run."""
    study.run(*WHOLE.nodes)
    hook = Provenance()
    hook.folder = study.folder / ".provenance"
    hook.before_node_run(TRAIN, DataCatalog({"models": MemoryDataset()}))
    assert "(train" not in study.run(training=Training(iterations=20))


def test_a_damaged_record_is_made_anew(study):
    study.run(*WHOLE.nodes)
    record = study.folder / ".provenance/models.json"
    for damage in ("{", "[]", '{"step": "train"}'):
        record.write_text(damage)
        assert "(train" not in study.run(training=Training(iterations=20))
    study.run(TRAIN)
    assert "(train" in study.run(training=Training(iterations=20))


def test_many_differences_are_counted(study):
    study.run(*WHOLE.nodes)
    other = Training(iterations=20, evaluate_every=5, checkpoint_every=7, stack_size=2, accelerator="cpu")
    found = study.run(training=other, splits=Splits(test=0.3, seed=1))
    assert found.count(" was ") == 5 and found.endswith("; and 2 more")


def test_nothing_is_written_where_no_project_is_known(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(FOLDER_OF_RUN, raising=False)
    Provenance().after_node_run(INGEST, DataCatalog())
    assert not list(Path().iterdir())
