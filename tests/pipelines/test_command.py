"""The real command, as a user types it: two folders of images, a study, a run."""

from __future__ import annotations

import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from kedro.framework.cli.cli import KedroCLI
from kedro.framework.hooks import hook_impl
from kedro.io import DatasetError
from page_reader import Reader, read_markdown
from PIL import Image

from mixvision.pipeline_registry import register_pipelines
from mixvision.settings import HOOKS
from mixvision.tracking.hooks import Tracking
from mixvision.training.events import TrainingListener

pytestmark = pytest.mark.slow


def kedro(*arguments: str) -> str:
    """The command without its process, whose imports take longer than most of what it does."""
    result = CliRunner().invoke(KedroCLI(Path.cwd()), arguments)
    assert result.exit_code == 0, result.output[-3000:]
    return result.stdout


def kedro_process(log: Path, *arguments: str) -> subprocess.Popen:
    with log.open("w") as file:
        return subprocess.Popen([sys.executable, "-m", "kedro", *arguments], stdout=file, stderr=subprocess.STDOUT)


@pytest.fixture
def photos(tmp_path, small_pixels):
    """Folders as users have them: mixed formats, nested folders, a broken file, a copy, notes, one odd category."""
    folder = tmp_path / "my photos"
    endings = {"nice": "JPG", "real": "png"}
    for domain, ending in endings.items():
        for row, pixels in enumerate(small_pixels[domain]):
            nested = "2024" if row % 2 else ""
            path = folder / domain / f"digit {row // 40}" / nested / f"{row}.{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).resize((40, 32)).save(path)
    broken = folder / "real" / "digit 0" / "broken.png"
    broken.write_bytes((folder / "real" / "digit 0" / "0.png").read_bytes()[:100])
    (folder / "real" / "digit 0" / "copy.png").write_bytes((folder / "real" / "digit 0" / "0.png").read_bytes())
    (folder / "real" / "digit 1" / "notes.txt").write_text("taken in the field")
    (folder / "nice" / "digit 9").mkdir()
    Image.fromarray(small_pixels["nice"][0]).save(folder / "nice" / "digit 9" / "only one side.png")
    return folder


def test_a_study_of_a_users_own_two_folders(project, photos):
    assert set(yaml.safe_load(kedro("registry", "list"))) == set(register_pipelines())
    kedro("study", "digits_of_mine", "--nice", str(photos / "nice"), "--real", str(photos / "real"))
    settings = {
        "mixing": {
            "mixtures": {"ratios": [0, 50, 100]},
            "training": {"iterations": 4, "evaluate_every": 2},
        }
    }
    (project / "conf/digits_of_mine/parameters.yml").write_text(yaml.safe_dump(settings))
    printed = kedro("run", "--env=digits_of_mine", "--pipelines=mixing")
    report = project / "data/08_reporting/digits_of_mine/mixing"
    metrics = pd.read_csv(report / "metrics.csv")
    tested = metrics[(metrics["split"] == "test") & (metrics["snapshot"] == "last")]
    assert read_markdown(printed)["% real"].tolist() == ["0", "50", "100"]
    assert read_markdown(printed)["end of training"].tolist() == [
        f"{value:.3f}" for value in tested["performance_top1"]
    ]
    assert str(report.relative_to(project) / "page.html") in printed and "mlflow ui" in printed

    manifest = pd.read_parquet(project / "data/03_primary/digits_of_mine/manifest.parquet")
    excluded = manifest[manifest["status"] == "excluded"].set_index("path")["reason"]
    assert excluded["digit 0/broken.png"].startswith("truncated")
    assert excluded["digit 0/copy.png"].startswith("exact duplicate")
    assert excluded["digit 1/notes.txt"] == "not an image"
    assert "only one side.png" in " ".join(excluded.index) and len(excluded) == 4
    kept = manifest[manifest["status"] == "kept"]
    assert kept.groupby(["domain", "category"]).size().to_dict() == {
        (domain, f"digit {digit}"): 40 for domain in ("nice", "real") for digit in range(3)
    }
    page = Reader((report / "page.html").read_text())
    reasons = page.table("reason", "files").set_index("reason")["files"].astype(int).to_dict()
    assert page.title.startswith("Digits of mine: ")
    assert reasons == excluded.str.partition(":")[0].value_counts().to_dict()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal to send to one process")
def test_a_terminated_process_says_so_and_leaves_a_run_that_is_killed(project):
    """MLflow is updated when the process exits. This one is terminated as it waits for images from a silent server."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        nowhere = f"http://127.0.0.1:{server.getsockname()[1]}/images.tar"
        (project / "conf/local/globals.yml").write_text(yaml.safe_dump({"nice": {"source": nowhere}}))
        process = kedro_process(project / "log", "run", "--pipelines=ingestion")
        while process.poll() is None and not select.select([server], [], [], 0.5)[0]:
            pass  # however long it takes: a busy machine is no failure
        process.terminate()
        assert process.wait() == 143, (project / "log").read_text()
    assert (project / "log").read_text().count("Stopped. Run the same command again") == 1
    mlflow.set_tracking_uri(f"sqlite:///{project}/mlflow.db")
    assert mlflow.search_runs(experiment_names=["digits"])["status"].tolist() == ["KILLED"]


class Signal(TrainingListener):
    """Sends the process a signal in the middle of training."""

    def __init__(self, number: signal.Signals) -> None:
        self.number = number

    def evaluated(self, history):
        assert signal.getsignal(self.number) != signal.SIG_DFL, "it would end the process without a word"
        signal.raise_signal(self.number)


@pytest.fixture
def as_in_a_terminal():
    """The signals' handlers as a command finds them, for this test alone."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("as_in_a_terminal")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_termination_leave_a_checkpoint_and_runs_that_say_killed(run_pipeline, project, few_digits, sent):
    endless = {"iterations": 100_000, "evaluate_every": 4, "checkpoint_every": 2, "accelerator": "cpu"}
    parameters = {"mixing": {"mixtures": {"ratios": [0, 100]}, "training": endless}}
    with pytest.raises((KeyboardInterrupt, SystemExit)) as ended:
        run_pipeline("mixing", parameters, few_digits, listener=Signal(sent))
    status = getattr(ended.value, "code", 1)  # of the process; a KeyboardInterrupt makes it 1 or more
    assert status == 143 if sent == signal.SIGTERM else status
    (tracking,) = (hook for hook in HOOKS if isinstance(hook, Tracking))
    tracking.interrupted()  # as at the exit of the process
    assert list(project.glob("data/06_models/digits/mixing/checkpoints/*/last.ckpt"))
    mlflow.set_tracking_uri(f"sqlite:///{project}/mlflow.db")
    runs = mlflow.search_runs(experiment_names=["digits"])
    assert runs["status"].tolist() == ["KILLED"] * 3


class SecondRun:
    """Starts a run in a process of its own, and lets the first one go on when the second waits for it."""

    def __init__(self, log: Path) -> None:
        self.log, self.process = log, None

    def printed(self) -> str:
        return " ".join(self.log.read_text().split())

    @hook_impl
    def before_node_run(self) -> None:
        if not self.process:
            self.process = kedro_process(self.log, "run", "--pipelines=ingestion")
            while self.process.poll() is None and "Waiting for another run" not in self.printed():
                time.sleep(0.2)  # however long it takes: a busy machine is no failure


def test_two_runs_at_once_both_end_well(run_pipeline, project, few_digits):
    """They decode the same images: the second waits for the first."""
    second = SecondRun(project / "log")
    run_pipeline("ingestion", None, few_digits, hook=second)
    assert second.process.wait() == 0, second.printed()
    assert "Waiting for another run of the study 'digits' to end: process" in second.printed()
    assert "nothing changed" in second.printed(), "the second run uses what the first decoded"


def test_a_missing_source_is_refused_before_anything_is_fetched(run_pipeline, project):
    with pytest.raises(DatasetError, match="source of 'real' images, 'nowhere', does not exist"):
        run_pipeline("mixing", global_settings={"real": {"source": "nowhere"}})
    assert not list(project.glob("data/[!.]*"))


@pytest.mark.parametrize("file", ["parameters.yaml", "parameters/mine.yml", "mine/parameters_mine.yml"])
def test_a_users_own_parameter_is_known_wherever_kedro_reads_it(run_pipeline, project, file):
    own = project / "conf/base" / file
    own.parent.mkdir(exist_ok=True)
    own.write_text("mine: {weight: 1}")
    with pytest.raises(DatasetError, match="'nowhere', does not exist"):
        run_pipeline("mixing", {"mine": {"weight": 2}}, {"real": {"source": "nowhere"}})
    with pytest.raises(ValueError, match=r"no parameter mine\.weigth: did you mean mine\.weight"):
        run_pipeline("mixing", {"mine": {"weigth": 2}}, {"real": {"source": "nowhere"}})


def test_unusable_published_numbers_are_refused_before_anything_is_fetched(run_pipeline, project):
    (project / "conf/base/published.yml").write_text("baseline: {source: a thesis}")
    with pytest.raises(DatasetError, match=r"published\.yml .*\['baseline'\].* mixing, .*baselines"):
        run_pipeline("baselines")
    assert not list(project.glob("data/[!.]*"))
