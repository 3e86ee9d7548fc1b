"""An MLflow that cannot be used is named in one sentence when a run starts."""

from __future__ import annotations

import shutil
import socket
import sqlite3
import subprocess
from pathlib import Path

import mlflow
import pytest

from mixvision.tracking import database as databases
from mixvision.tracking.database import check_database, check_server, create_database, follow_move
from mixvision.tracking.failures import explained


@pytest.fixture
def database(tmp_path, empty_tracking):
    return shutil.copy(empty_tracking, tmp_path / "mlflow.db")


def use(address: str) -> None:
    """What kedro-mlflow does first."""
    check_database(address)
    with explained(address):
        client = mlflow.MlflowClient(address)
        client.create_run(client.create_experiment("digits"))


def overwrite(file, begin: int, count: int) -> None:
    content = bytearray(file.read_bytes())
    content[begin : begin + count] = bytes(255 - byte for byte in content[begin : begin + count])
    file.write_bytes(content)


@pytest.mark.parametrize("way", ["moved", "copied"])
def test_artifacts_follow_a_project_that_was_moved_or_copied(tmp_path, empty_tracking, monkeypatch, way):
    former, place = tmp_path / "former", tmp_path / "place"
    former.mkdir()
    shutil.copy(empty_tracking, former / "mlflow.db")
    monkeypatch.chdir(former)
    client = mlflow.MlflowClient(f"sqlite:///{former}/mlflow.db")
    experiment = client.create_experiment("digits")
    run = client.create_run(experiment).info.run_id
    client.log_text(run, "the page", "page.html")
    model = client.create_logged_model(experiment, source_run_id=run)
    Path(model.artifact_location).mkdir(parents=True)
    (shutil.move if way == "moved" else shutil.copytree)(former, place)
    monkeypatch.chdir(place)
    follow_move("sqlite:///mlflow.db")
    client = mlflow.MlflowClient(f"sqlite:///{place}/mlflow.db")
    other = client.create_run(client.get_experiment_by_name("digits").experiment_id)
    for info in (other.info, client.get_run(run).info):
        assert info.artifact_uri.startswith(str(place))
    assert client.get_logged_model(model.model_id).artifact_location.startswith(str(place))
    client.log_text(other.info.run_id, "another", "page.html")
    assert {path.read_text() for path in place.glob("mlruns/*/*/artifacts/page.html")} == {"the page", "another"}


def test_a_place_without_files_follows_a_move_and_one_that_is_still_there_stays(empty_tracking, tmp_path, monkeypatch):
    """An experiment without artifacts has no folder yet; its next run would make it at the old place."""
    former, place = tmp_path / "former", tmp_path / "place"
    former.mkdir()
    shutil.copy(empty_tracking, former / "mlflow.db")
    client = mlflow.MlflowClient(f"sqlite:///{former}/mlflow.db")
    client.create_experiment("empty", f"{former}/mlruns/empty")
    client.create_experiment("another's", f"{tmp_path}/other/mlruns/digits")
    (tmp_path / "other/mlruns/digits").mkdir(parents=True)
    shutil.move(former, place)
    follow_move(f"sqlite:///{place}/mlflow.db")
    client = mlflow.MlflowClient(f"sqlite:///{place}/mlflow.db")
    assert client.get_experiment_by_name("empty").artifact_location == f"{place}/mlruns/empty"
    assert client.get_experiment_by_name("another's").artifact_location == f"{tmp_path}/other/mlruns/digits"


def test_a_copy_without_artifacts_does_not_write_to_its_original(empty_tracking, tmp_path):
    former, place = tmp_path / "former", tmp_path / "place"
    for folder in (former, place):
        folder.mkdir()
    shutil.copy(empty_tracking, former / "mlflow.db")
    client = mlflow.MlflowClient(f"sqlite:///{former}/mlflow.db")
    run = client.create_run(client.create_experiment("digits", f"{former}/mlruns/digits"))
    client.log_text(run.info.run_id, "the page", "page.html")
    shutil.copy(former / "mlflow.db", place)
    for folder in (place, former):
        follow_move(f"sqlite:///{folder}/mlflow.db")
        client = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db")
        assert client.get_experiment_by_name("digits").artifact_location == f"{folder}/mlruns/digits"
        assert client.get_run(run.info.run_id).info.artifact_uri.startswith(f"{former}/mlruns"), "where its page is"


def test_an_empty_database_has_nothing_to_follow(tmp_path):
    (tmp_path / "mlflow.db").touch()
    follow_move(f"sqlite:///{tmp_path}/mlflow.db")
    follow_move("http://127.0.0.1:9")


@pytest.mark.parametrize(("begin", "count"), [(0, 16), (4096, 200_000), (100_000, 20_000)])
def test_a_damaged_database_is_named(database, begin, count):
    overwrite(database, begin, count)
    with pytest.raises(RuntimeError, match=rf"^MLflow's database {database} is damaged: move it away, .*\.$"):
        use(f"sqlite:///{database}")


def test_a_truncated_database_is_named(database):
    database.write_bytes(database.read_bytes()[:100_000])
    with pytest.raises(RuntimeError, match=rf"^MLflow's database {database} is damaged"):
        use(f"sqlite:///{database}")


def test_a_locked_database_is_named(database):
    with sqlite3.connect(database) as locking:
        locking.execute("BEGIN EXCLUSIVE")
        with pytest.raises(RuntimeError, match=rf"^MLflow's database {database} is locked by another program: close"):
            use(f"sqlite:///{database}?timeout=0.1")
        locking.rollback()
    use(f"sqlite:///{database}")


def test_a_database_that_cannot_be_written_is_named(database):
    database.chmod(0o444)
    unwritable = subprocess.run(["chattr", "+i", database], capture_output=True).returncode == 0  # even for root
    try:
        if not unwritable and _can_write(database):
            pytest.skip("root may write every file here")
        with pytest.raises(RuntimeError, match=rf"^MLflow's database {database} cannot be written: allow it"):
            use(f"sqlite:///{database}")
    finally:
        subprocess.run(["chattr", "-i", database], capture_output=True)


def _can_write(file) -> bool:
    try:
        return bool(file.open("ab").close() or True)
    except PermissionError:
        return False


def test_a_server_that_does_not_answer_is_named_without_its_password(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    wanted = r"^The MLflow server http://127\.0\.0\.1:9 cannot be reached: start it, or correct server\."
    with pytest.raises(RuntimeError, match=wanted):
        use("http://me:secret@127.0.0.1:9")


def test_a_server_that_takes_the_call_but_does_not_answer_is_named(monkeypatch):
    monkeypatch.setattr(databases, "SECONDS_TO_ANSWER", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(RuntimeError, match=rf"^The MLflow server {address} cannot be reached: start it"):
            check_server(address)
    check_server("sqlite:///mlflow.db")


def test_a_database_is_made_whole_or_not_at_all(tmp_path, monkeypatch):
    """A process that was killed while MLflow made one left a file with which no run could start."""
    address = f"sqlite:///{tmp_path}/mlflow.db"

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(mlflow, "MlflowClient", killed)
        create_database(address)
    assert not list(tmp_path.iterdir())
    for leftover in (".mlflow.partial.db", ".mlflow.partial.db-journal"):
        (tmp_path / leftover).write_bytes(b"half")
    create_database(address)
    made = (tmp_path / "mlflow.db").stat().st_ino
    use(address)
    create_database(address)
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]
    assert (tmp_path / "mlflow.db").stat().st_ino == made
    create_database("http://127.0.0.1:9")


@pytest.mark.parametrize("lacking", ["DROP TABLE alembic_version", "DROP TABLE experiments"])
def test_a_half_made_database_is_named(database, lacking):
    with sqlite3.connect(database) as connection:
        connection.execute("DELETE FROM alembic_version")
        connection.execute(lacking)
    with pytest.raises(RuntimeError, match=rf"^MLflow's database {database} was only half made by a process .* delete"):
        use(f"sqlite:///{database}")


def test_a_database_that_is_a_folder_or_in_none_is_named_at_once(tmp_path):
    """MLflow itself tries for two minutes."""
    (tmp_path / "mlflow.db").mkdir()
    for name in ("mlflow.db", "nowhere/mlflow.db"):
        address = f"sqlite:///{tmp_path}/{name}"
        with pytest.raises(
            RuntimeError, match=rf"^MLflow's database {tmp_path}/{name} cannot be opened: make its folder"
        ):
            create_database(address)
            check_database(address)


def test_other_errors_pass():
    with pytest.raises(ValueError, match="something else"), explained("sqlite:///mlflow.db"):
        raise ValueError("something else")
