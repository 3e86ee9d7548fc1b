"""Online learning from two growing folders, as ``kedro run`` runs it several times."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import Mock

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from page_reader import Reader, read_markdown
from PIL import Image

from mixvision.datasets.tables import TableDataset
from mixvision.models.trained import TrainedNetwork
from mixvision.studies.streams import learning
from mixvision.training.config import Course
from mixvision.training.events import TrainingListener
from mixvision.training.sweep.engine import train_sweep

pytestmark = pytest.mark.slow

BRIEF = {
    "streams": {
        "learning": {"buffer": 50, "learning_rate": 0.02},
        "training": {"iterations": 6, "evaluate_every": 3, "checkpoint_every": 2, "accelerator": "cpu"},
    }
}
DATA = "data/06_models/digits/streams"


class Folders:
    """Two folders of images that grow."""

    def __init__(self, root: Path, pixels: dict[str, np.ndarray]) -> None:
        self.root, self.pixels = root, pixels
        self.settings = {
            "image_size": 16,
            "nice": {"source": str(root / "nice")},
            "real": {"source": str(root / "real")},
        }

    def grow(self, first: int, last: int, digits: tuple[int, ...] = (0, 1, 2)) -> None:
        """Add these images of every digit."""
        for domain, pixels in self.pixels.items():
            for digit in digits:
                folder = self.root / domain / str(digit)
                folder.mkdir(parents=True, exist_ok=True)
                for number in range(first, last):
                    Image.fromarray(pixels[digit * 40 + number]).save(folder / f"{number:03d}.png")


@pytest.fixture
def folders(tmp_path_factory, small_pixels):
    return Folders(tmp_path_factory.mktemp("streams"), small_pixels)


@pytest.fixture
def learn(run_pipeline, folders):
    """A function that runs the pipeline on the folders and returns the project."""
    return lambda **options: run_pipeline("streams", BRIEF, folders.settings, **options)


@dataclass(frozen=True)
class TwoRuns:
    """Two runs: on 28 images of every digit, and on 12 more."""

    folders: Folders
    project: Path
    after_the_first: Path  # the project's data
    trained: list[Course]  # what the second run trained


@pytest.fixture(scope="module")
def two_runs(run_apart, tmp_path_factory, small_pixels) -> TwoRuns:
    folders = Folders(tmp_path_factory.mktemp("streams"), small_pixels)
    folders.grow(0, 28)
    project = run_apart("streams", BRIEF, folders.settings)
    data = shutil.copytree(project / "data", tmp_path_factory.mktemp("first run") / "data")
    folders.grow(28, 40)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(learning, "train_sweep", spy := Mock(wraps=train_sweep))
        run_apart("streams", BRIEF, folders.settings, project=project)
    courses = [given for given in spy.call_args.args if isinstance(given, Course)]
    return TwoRuns(folders, project, data, courses)


def network(project: Path, run: int) -> TrainedNetwork:
    return TrainedNetwork.load(project / DATA / f"state/run-{run:03d}/network.safetensors")


def arrivals(project: Path) -> pd.DataFrame:
    return pd.read_csv(project / "data/08_reporting/digits/streams/arrivals.csv")


def equal(one: TrainedNetwork, other: TrainedNetwork) -> bool:
    return all(torch.equal(value, other.tensors[name]) for name, value in one.tensors.items())


def test_a_second_run_continues_training_with_the_new_images(two_runs):
    project = two_runs.project
    first, second = (arrivals(project).iloc[run] for run in (0, 1))
    assert first[["run", "iterations", "nice_new", "real_new"]].tolist() == [1, 6, 84, 84]
    assert first[["nice_buffer", "real_buffer"]].tolist() == [50, 50]
    assert first["nice_trained"] * 7 == first["real_trained"] * 3 > 0
    assert np.isnan(first["performance_top1"])

    assert len(arrivals(project)) == 2
    assert second[["run", "iterations", "nice_new", "real_new"]].tolist() == [2, 12, 36, 36]
    before, after = network(project, 1), network(project, 2)
    assert not equal(before, after)
    (course,) = two_runs.trained
    assert equal(before, replace(after, tensors=course.continuation.starts["run-002"].weights))

    # Measured with the network of the first run, on images that it had never seen.
    manifest = pd.read_parquet(project / "data/03_primary/digits/unsplit_manifest.parquet")
    manifest["arrived"] = manifest["path"].str[-7:-4].astype(int) >= 28
    known = manifest.loc[~manifest["arrived"], "component"]
    counted = manifest[manifest["arrived"] & ~manifest["component"].isin(known) & (manifest["domain"] == "real")]
    pixels = np.load(project / "data/02_intermediate/digits/real/pixels.npy")[counted["pixel_row"]]
    right = before.classify(pixels).argmax(1) == counted["category"].astype(int)
    assert second["real_measured"] == len(counted) and second["real_top1"] == pytest.approx(right.mean())

    report = project / "data/08_reporting/digits/streams"
    page = Reader((report / "page.html").read_text())
    shown = page.table("run", "measured").set_index("run").loc["2"]
    assert shown[["iterations", "new"]].tolist() == ["12", "36 + 36"]
    assert shown["measured"] == f"{second['nice_measured']:.0f} + {len(counted)}"
    assert shown["real"] == f"{right.mean():.3f}"
    performance = (second["nice_top1"] * right.mean()) ** 0.5
    assert page.key_numbers[-1] == shown["performance"] == f"{performance:.3f}"
    assert (report / "prequential.json").exists()
    assert not (project / DATA / "checkpoints").exists()
    mlflow.set_tracking_uri(f"sqlite:///{project}/mlflow.db")
    tracked = mlflow.search_runs(experiment_names=["digits"], filter_string="run_name = 'run-002'")
    assert tracked["metrics.prequential/real_top1"].item() == pytest.approx(second["real_top1"])
    curve = mlflow.MlflowClient().get_metric_history(tracked["run_id"].item(), "validation/performance_top1")
    assert [point.step for point in curve] == [9, 12]


def test_without_new_images_nothing_changes_and_another_image_size_is_refused(run_pipeline, project, two_runs):
    shutil.copytree(two_runs.project / "data", project / "data")
    table = arrivals(project)
    report = project / "data/08_reporting/digits/streams"
    told = {name: (report / name).read_text() for name in ("summary.md", "page.html")}
    run_pipeline("streams", BRIEF, two_runs.folders.settings)
    assert sorted(path.name for path in (project / DATA / "state").iterdir()) == ["run-001", "run-002"]
    pd.testing.assert_frame_equal(arrivals(project), table)
    assert {name: (report / name).read_text() for name in told} == told, (
        "so that a kill before the report loses nothing"
    )
    shown = read_markdown(told["summary.md"])[["run", "new"]].to_numpy().tolist()
    assert shown == [["1", "84 + 84"], ["2", "36 + 36"]]
    assert told["summary.md"].splitlines()[-1] == "Run 2: 36 new nice and 36 new real images."
    with pytest.raises(ValueError, match="image_size is 24, .* with 16 .*state to start over"):
        run_pipeline("streams", BRIEF, two_runs.folders.settings | {"image_size": 24})


class Killer(TrainingListener):
    """Ends a run in the middle of training, as a crash would."""

    def evaluated(self, history):
        raise KeyError("the machine went down")


def test_a_killed_run_resumes_to_the_same_result(run_pipeline, project, two_runs):
    shutil.copytree(two_runs.after_the_first, project / "data")
    with pytest.raises(KeyError, match="the machine went down"):
        run_pipeline("streams", BRIEF, two_runs.folders.settings, listener=Killer())
    assert [path.name for path in (project / DATA / "state").iterdir()] == ["run-001"]
    assert len(list((project / DATA / "checkpoints").glob("*/last.ckpt"))) == 1
    run_pipeline("streams", BRIEF, two_runs.folders.settings)
    assert equal(network(project, 2), network(two_runs.project, 2))
    assert arrivals(project)["iterations"].tolist() == [6, 12]


def test_a_kill_after_the_state_is_saved_loses_no_run(learn, folders, project, monkeypatch):
    folders.grow(0, 20)
    save = TableDataset.save

    def killed(dataset: TableDataset, table: pd.DataFrame) -> None:
        if dataset.filepath.name == "arrivals.csv":
            raise KeyError("the machine went down")
        save(dataset, table)

    with monkeypatch.context() as patch:
        patch.setattr(TableDataset, "save", killed)
        with pytest.raises(KeyError, match="the machine went down"):
            learn()
    first = network(project, 1)
    learn()
    assert [path.name for path in (project / DATA / "state").iterdir()] == ["run-001"]
    assert equal(network(project, 1), first) and arrivals(project)["run"].tolist() == [1]


def test_a_vanished_category_is_kept_and_a_new_one_is_left_out(learn, folders, project):
    folders.grow(0, 20, digits=(0, 1))
    learn()
    for domain in ("nice", "real"):
        shutil.rmtree(Path(folders.settings[domain]["source"]) / "0")
    folders.grow(20, 30, digits=(1,))
    folders.grow(0, 20, digits=(2,))
    learn()
    assert network(project, 2).categories == ("0", "1")
    assert arrivals(project)["real_new"].tolist() == [40, 10]
