"""Ways in which people who use Kedro and MLflow daily start runs: from any folder, twice in one process, packaged."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import mlflow
import pytest
import yaml
from click.testing import CliRunner
from filelock import FileLock
from IPython.core.interactiveshell import InteractiveShell
from kedro.framework.cli.cli import KedroCLI
from kedro.framework.session import KedroServiceSession, KedroSession

from mixvision.tracking.settings import VARIABLES

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in VARIABLES:  # other tests name the database of their own project
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def small_study(project, few_digits) -> Path:
    """A project with few images, whose mlflow.yml is the one that Mixvision comes with."""
    (project / "conf/local/globals.yml").write_text(yaml.safe_dump(few_digits))
    (project / "conf/local/mlflow.yml").unlink()
    return project


def runs_in(database: Path, experiment: str = "digits") -> list[mlflow.entities.Run]:
    client = mlflow.MlflowClient(f"sqlite:///{database}")
    return client.search_runs([client.get_experiment_by_name(experiment).experiment_id])


def test_a_run_from_a_subfolder_is_recorded_in_the_project(small_study, monkeypatch):
    folder = small_study / "notebooks"
    folder.mkdir()
    monkeypatch.chdir(folder)
    pictures = small_study / "pictures"
    shutil.copytree(yaml.safe_load((small_study / "conf/local/globals.yml").read_text())["nice"]["source"], pictures)
    arguments = ["run", "--pipelines=ingestion", "--params=nice=pictures"]  # as seen from the project
    result = CliRunner().invoke(KedroCLI(small_study), arguments)
    assert result.exit_code == 0, result.output[-3000:]
    assert [run.info.status for run in runs_in(small_study / "mlflow.db")] == ["FINISHED"]
    assert (small_study / "data/03_primary/digits/manifest.parquet").exists()
    assert Path.cwd() == folder and not list(folder.iterdir())


def run_session(project: Path, share: float) -> None:
    """Split the images in a session of Kedro's, as people do in scripts and notebooks."""
    with KedroSession.create(project, runtime_params={"ingestion": {"splits": {"test": share}}}) as session:
        session.run(pipeline_names=["ingestion"])


def ends(database: Path, experiment: str = "digits") -> dict[str, str]:
    """How each run ended, by its share of test images."""
    return {run.data.params["ingestion.splits.test"]: run.info.status for run in runs_in(database, experiment)}


def test_runs_in_one_process_are_runs_of_their_own_however_they_end(small_study, tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{small_study}/mlflow.db")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    run_session(small_study, 0.2)
    for share, error in ((0.3, KeyboardInterrupt), (0.4, RuntimeError)):
        with monkeypatch.context() as patch, pytest.raises(error):
            patch.setattr("mixvision.images.manifest.split_manifest", partial(fail, error))
            run_session(small_study, share)
    run_session(small_study, 0.5)
    expected = {"0.2": "FINISHED", "0.3": "KILLED", "0.4": "FAILED", "0.5": "FINISHED"}
    assert ends(small_study / "mlflow.db", "mine") == expected
    assert mlflow.active_run() is None and not list(Path.cwd().iterdir())


def fail(error: type[BaseException], *_: object) -> None:
    raise error


def test_a_run_that_leaves_out_steps_of_other_settings_says_so_in_mlflow(small_study, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{small_study}/mlflow.db")  # MLflow keeps relative ones open
    run_session(small_study, 0.2)
    chosen = {"ingestion": {"splits": {"test": 0.3}}}
    with KedroSession.create(small_study, runtime_params=chosen) as session:
        session.run(pipeline_names=["ingestion"], only_missing_outputs=True)
    told = {run.data.params["ingestion.splits.test"]: run.data.tags for run in runs_in(small_study / "mlflow.db")}
    assert "older_results" not in told["0.2"]
    assert told["0.3"]["older_results"].startswith("ingestion.splits.test was 0.2 and is now 0.3 (ingestion.")


def test_a_service_session_makes_a_run_of_each_call(small_study):
    with KedroServiceSession.create(project_path=small_study) as session:
        for share in (0.2, 0.3):
            chosen = {"ingestion": {"splits": {"test": share}}}
            session.run(pipeline_names=["ingestion"], runtime_params=chosen)
    assert ends(small_study / "mlflow.db") == {"0.2": "FINISHED", "0.3": "FINISHED"}


@pytest.fixture
def notebook() -> Iterator[InteractiveShell]:
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


def test_in_a_notebook_ctrl_c_ends_the_run_with_its_cell(small_study, tmp_path_factory, monkeypatch, notebook):
    elsewhere = tmp_path_factory.mktemp("notebooks")
    monkeypatch.chdir(elsewhere)
    monkeypatch.setattr("mixvision.images.manifest.split_manifest", partial(fail, KeyboardInterrupt))
    notebook.push({"run": partial(run_session, small_study, 0.3)})
    assert isinstance(notebook.run_cell("run()").error_in_exec, KeyboardInterrupt)
    assert ends(small_study / "mlflow.db") == {"0.3": "KILLED"}
    assert mlflow.active_run() is None and Path.cwd() == elsewhere
    with FileLock(small_study / "data/.locks/study-digits.lock", timeout=0):  # as %reload_kedro makes another
        pass


def test_the_package_runs_in_an_empty_folder_with_its_configuration_in_an_archive(tmp_path, few_digits):
    conf = tmp_path / "packed" / "conf"
    shutil.copytree(Path(__file__).parents[2] / "conf", conf, ignore=shutil.ignore_patterns("local"))
    (conf / "local").mkdir()
    (conf / "local/globals.yml").write_text(yaml.safe_dump(few_digits))
    archive = shutil.make_archive(tmp_path / "conf", "gztar", conf.parent)
    empty = tmp_path / "empty"
    empty.mkdir()
    command = [sys.executable, "-m", "mixvision", "--pipelines=ingestion", f"--conf-source={archive}"]
    done = subprocess.run(command, cwd=empty, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (empty / "data/08_reporting/digits/ingestion/page.html").exists() and runs_in(empty / "mlflow.db")
    assert "Completed" not in done.stdout + done.stderr, "logging.yml of the configuration hides Kedro's own messages"


@pytest.mark.skipif(multiprocessing.get_start_method() != "fork", reason="Kedro's other processes have no hooks")
def test_the_parallel_runner_records_models_curves_and_results(small_study):
    settings = {"mixtures": {"ratios": [0, 100]}, "training": {"iterations": 4, "evaluate_every": 2}}
    (small_study / "conf/local/parameters.yml").write_text(yaml.safe_dump({"mixing": settings}))
    command = [sys.executable, "-m", "kedro", "run", "--pipelines=mixing", "--runner=ParallelRunner"]
    done = subprocess.run(command, cwd=small_study, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    runs = {run.info.run_name: run for run in runs_in(small_study / "mlflow.db")}
    assert sorted(runs) == ["mixing", "ratio-000-seed-0", "ratio-100-seed-0"]
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert runs["mixing"].data.params["mixing.training.iterations"] == "4"
    client = mlflow.MlflowClient(f"sqlite:///{small_study}/mlflow.db")
    for name in ("ratio-000-seed-0", "ratio-100-seed-0"):
        curve = client.get_metric_history(runs[name].info.run_id, "validation/performance_top1")
        assert [point.step for point in curve] == [2, 4]
        assert {"selected/test/performance_top1", "last/test/real_top1"} <= set(runs[name].data.metrics)
        assert runs[name].data.params["ratio"] == str(int(name[6:9]))
    assert "yes" in [run.data.tags.get("selected") for run in runs.values()]
    record = small_study / "data/.provenance/digits/mixing.models.json"
    assert json.loads(record.read_text())["settings"]["mixing.training.iterations"] == "4"
