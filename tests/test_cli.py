"""The command that makes a study's environment."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from kedro.framework.cli import project
from kedro.framework.cli.utils import find_run_command
from kedro.io import DatasetError
from kedro.pipeline import Pipeline
from kedro.validation.exceptions import ParameterValidationError

from mixvision.__main__ import main
from mixvision.cli import cli, end_in_a_sentence
from mixvision.images.text_files import decode_text
from mixvision.plain_errors import OUT_OF_MEMORY


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("catalogue", "field"):
        Path(name).mkdir()
    return lambda *arguments: CliRunner().invoke(cli, ["study", *arguments])


def commands(output: str) -> list[str]:
    """The commands that the output tells the user to run."""
    return [line.strip() for line in output.splitlines() if line.strip().startswith("kedro")]


def test_two_folders_become_an_environment_of_six_lines(run):
    result = run("weeds", "--nice", "catalogue", "--real", "field")
    assert result.exit_code == 0, result.output
    lines = Path("conf/weeds/globals.yml").read_text().splitlines()
    assert len(lines) == 6
    settings = yaml.safe_load("\n".join(lines))
    assert settings["study"] == "weeds"
    assert settings["nice"] == {"source": "catalogue"} and settings["real"] == {"source": "field"}
    assert commands(result.output) == [f"kedro run --env=weeds --pipelines={name}" for name in ("ingestion", "mixing")]


@pytest.mark.parametrize(("given", "absent"), [("real", "nice"), ("nice", "real")])
def test_one_folder_becomes_an_environment_of_one_domain(run, given, absent):
    result = run("weeds", f"--{given}", "field")
    assert result.exit_code == 0, result.output
    settings = yaml.safe_load(Path("conf/weeds/globals.yml").read_text())
    assert settings[given] == {"source": "field"} and settings[absent] == {"source": None}
    assert "iterations" not in settings  # baselines train by epochs
    assert commands(result.output) == [
        f"kedro run --env=weeds --pipelines={name}" for name in ("ingestion", "baselines")
    ]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("weeds", "--nice", "nowhere", "--real", "field"), "--nice: 'nowhere' does not exist"),
        (("weeds", "--nice", "catalogue", "--real", ""), "--real: '' does not exist"),
        (("weeds",), "--nice, --real or both"),
        (("Bad Name", "--nice", "catalogue", "--real", "field"), "NAME: 'Bad Name' cannot name"),
        (("base", "--nice", "catalogue", "--real", "field"), "NAME: 'base' cannot name"),
        (("digits", "--nice", "catalogue", "--real", "field"), "NAME: 'digits' cannot name"),
        (("weeds", "--nice", "field", "--real", "./field"), "--nice and --real are the same"),
        (("weeds", "--nice", "field", "--image-size", "4"), "'--image-size': 4 is not in the range 8<=x<=1024"),
        (("weeds", "--nice", "field", "--iterations", "0"), "'--iterations': 0 is not in the range x>=1"),
    ],
)
def test_bad_arguments_are_refused_by_name_and_value(run, arguments, complaint):
    result = run(*arguments)
    assert result.exit_code != 0 and complaint in " ".join(result.output.split())
    assert not Path("conf").exists()


def test_a_name_that_yaml_reads_as_a_boolean_stays_text(run):
    Path('odd "place"').mkdir()
    run("on", "--nice", 'odd "place"', "--real", "field")
    settings = yaml.safe_load(Path("conf/on/globals.yml").read_text())
    assert settings["study"] == "on" and settings["nice"] == {"source": 'odd "place"'}


def test_an_existing_study_is_not_overwritten(run):
    run("weeds", "--nice", "catalogue", "--real", "field")
    file = Path("conf/weeds/globals.yml")
    written = file.read_text()
    result = run("weeds", "--nice", "field", "--real", "field")
    assert result.exit_code != 0 and f"{file} already exists" in result.output
    assert file.read_text() == written


@pytest.fixture
def failing(tmp_path, monkeypatch):
    """A function: the result of ``kedro run`` with these arguments, if running raises what another function raises."""
    monkeypatch.chdir(tmp_path)

    def run(fail, *arguments: str):
        def callback(**_):
            fail()

        monkeypatch.setattr(project.run, "callback", callback)
        return CliRunner().invoke(cli, ["run", *arguments])

    return run


def read_a_workbook():
    decode_text(b"PK\x03\x04", Path("labels.csv"))


WORKBOOK = "labels.csv is an Excel workbook or another zip file, not a text: save it as CSV."


def load_a_workbook():
    """As Kedro's catalog does, which wraps the error twice."""
    try:
        try:
            read_a_workbook()
        except ValueError as error:
            raise DatasetError(f"Failed while loading data from dataset Table(filepath=labels).\n{error}") from error
    except DatasetError as error:
        error.add_note("Lower image_size.")
        raise DatasetError(f"labels: {error}") from error


def run_out_of_memory():
    raise MemoryError


def stop_by_ctrl_c():
    raise KeyboardInterrupt


def stop_by_the_system():
    raise SystemExit(143)


def use_a_missing_key():
    raise KeyError("ratio")


def convert_a_word():
    raise ValueError("could not convert string to float: 'ten'")


def fill_the_disk():
    raise OSError(errno.ENOSPC, "No space left on device", "data/pixels.npy")


def fill_the_disk_of_a_database():
    raise RuntimeError("(sqlite3.OperationalError) database or disk is full\n[SQL: INSERT]")


FULL_DISK = (
    "The disk is full ([Errno 28] No space left on device: 'data/pixels.npy'). Make room, and run the same command "
    "again: it keeps what is done."
)


@pytest.mark.parametrize(
    ("fail", "sentence"),
    [
        (fill_the_disk, FULL_DISK),
        (
            fill_the_disk_of_a_database,
            FULL_DISK.replace(
                "[Errno 28] No space left on device: 'data/pixels.npy'",
                "(sqlite3.OperationalError) database or disk is full",
            ),
        ),
        (read_a_workbook, WORKBOOK),
        (load_a_workbook, f"{WORKBOOK} Lower image_size."),
        (use_a_missing_key, "KeyError: 'ratio'"),
        (run_out_of_memory, OUT_OF_MEMORY),
        (convert_a_word, "ValueError: could not convert string to float: 'ten'"),
    ],
)
def test_an_error_of_a_run_ends_in_one_sentence_and_its_traceback_is_in_a_file(failing, fail, sentence):
    result = failing(fail)
    assert result.exit_code == 1
    told, *faults, last = result.output.strip().splitlines()
    (file,) = Path("logs").iterdir()
    assert told == f"The traceback is in {file}; kedro run --verbose shows it."
    assert last == f"Error: {sentence}"
    assert faults == (
        ["This looks like a fault of Mixvision: please report it with that file."] if "Key" in last else []
    )
    assert f"in {fail.__name__}" in file.read_text()


@pytest.mark.parametrize(("fail", "code"), [(stop_by_ctrl_c, 1), (stop_by_the_system, 143)])
def test_a_run_that_is_stopped_says_that_the_same_command_goes_on(failing, fail, code):
    result = failing(fail)
    assert result.exit_code == code and "Run the same command again: it goes on from the last" in result.output
    assert not Path("logs").exists()


def test_the_traceback_is_shown_if_asked_for(failing):
    result = failing(read_a_workbook, "--verbose")
    assert isinstance(result.exception, ValueError) and not result.output
    assert not Path("logs").exists()


def test_the_traceback_is_shown_before_the_sentence_if_it_cannot_be_kept(failing):
    Path("logs").touch()  # no folder can be made there
    result = failing(fill_the_disk)
    assert result.exit_code == 1
    *shown, last = result.output.strip().splitlines()
    assert shown[0].startswith("Traceback") and any(f"in {fill_the_disk.__name__}" in line for line in shown)
    assert last == f"Error: {FULL_DISK}"


def test_other_commands_end_in_a_sentence_only_where_the_error_is_ours(capsys, monkeypatch):
    told = []
    monkeypatch.setattr("mixvision.cli.USUAL_HOOK", lambda *arguments: told.append(arguments))
    for fail in (read_a_workbook, use_a_missing_key, stop_by_ctrl_c):
        try:
            fail()
        except BaseException as error:
            end_in_a_sentence(type(error), error, error.__traceback__)
    assert capsys.readouterr().err == f"Error: {WORKBOOK}\n"
    assert [kind for kind, _, _ in told] == [KeyError, KeyboardInterrupt]


@pytest.mark.parametrize("name", ["run", "python -m mixvision"])
def test_a_file_for_config_may_hold_lists_and_is_read_in_a_packaged_project_too(name, tmp_path, monkeypatch):
    given = {}
    monkeypatch.setattr(project.run, "callback", lambda **options: given.update(options))
    monkeypatch.chdir(tmp_path)
    Path("run.yml").write_text("run: {pipelines: [mixing, leakage], tags: [report], env: tiny}")
    result = CliRunner().invoke(cli.commands["run"], ["--config=run.yml"], prog_name=name)
    assert result.exit_code == 0, result.output
    assert list(given["pipelines"]) == ["mixing", "leakage"] and list(given["tags"]) == ["report"]
    assert given["env"] == "tiny"


@pytest.mark.parametrize("option", ["--pipelines", "--pipeline"])
def test_an_unknown_pipeline_is_refused_before_anything_is_set_up(failing, option):
    def fail():
        pytest.fail("it ran")

    assert failing(fail, f"{option}=mixin").output.strip().splitlines()[-1] == (
        "Error: There is no pipeline 'mixin': did you mean mixing?"
    )
    last = failing(fail, f"{option}=nosuch").output.strip().splitlines()[-1]
    assert last.startswith("Error: There is no pipeline 'nosuch': use one of ingestion, mixing, leakage, ")


def test_an_unknown_runner_is_refused(failing):
    last = failing(use_a_missing_key, "--runner=ThredRunner").output.strip().splitlines()[-1]
    assert last == "Error: There is no runner 'ThredRunner': did you mean ThreadRunner?"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["--nodes=sanity_check.overfit_image"],
            "node 'sanity_check.overfit_image': did you mean sanity_check.overfit_images?",
        ),
        (
            ["--from-nodes=ingestion.decode_real_images,ingestion.asign"],
            "node 'ingestion.asign': did you mean ingestion.assign",
        ),
        (["--to-outputs=sanity_check.tabel"], "dataset 'sanity_check.tabel': did you mean sanity_check.table?"),
        (["--namespaces=sanity"], "namespace 'sanity': did you mean sanity_check?"),
        (["--tags=chek"], "tag 'chek': "),
    ],
)
def test_what_the_pipeline_does_not_have_is_named_with_what_it_has(failing, arguments, sentence):
    def fail():  # as Kedro does
        Pipeline([]).only_nodes("nosuch")

    result = failing(fail, "--pipelines=sanity_check", *arguments)
    where = sentence.replace("':", "' in sanity_check:")
    assert result.output.strip().splitlines()[-1].startswith(f"Error: There is no {where}")


def test_wrong_parameters_are_named_without_the_class_that_they_were_to_become(failing):
    def fail():
        raise ParameterValidationError(
            "Parameter validation failed:\n"
            "- Parameter 'mixing.training': Failed to instantiate Training for parameter 'mixing.training': iterations "
            "is 'ten'; give a whole number of 1 or more.\n"
            "- Parameter 'ingestion.splits': Failed to instantiate Splits for parameter 'ingestion.splits': "
            "Splits.__init__() got an unexpected keyword argument 'tset'"
        )

    assert failing(fail).output.strip().splitlines()[-1] == (
        "Error: In mixing.training: iterations is 'ten'; give a whole number of 1 or more. In ingestion.splits: there "
        "is no 'tset'; conf/base/parameters_*.yml list all parameters."
    )


def test_a_study_is_made_in_the_project_from_any_of_its_folders(run, tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").write_text("[tool.kedro]\n")
    inside = tmp_path / "photos" / "field"
    inside.mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "photos")
    result = run("weeds", "--nice", "../catalogue", "--real", "field")
    assert result.exit_code == 0, result.output
    settings = yaml.safe_load((tmp_path / "conf/weeds/globals.yml").read_text())
    assert (settings["nice"], settings["real"]) == ({"source": "catalogue"}, {"source": "photos/field"})


def test_options_reach_kedro(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = {}
    monkeypatch.setattr(project.run, "callback", lambda **options: seen.update(options))
    result = CliRunner().invoke(cli, ["run", "--env=fruits", "--pipelines=mixing", "--params=mixing.training.seed=3"])
    assert result.exit_code == 0, result.output
    assert (seen["env"], seen["pipelines"]) == ("fruits", ["mixing"]) and "verbose" not in seen
    assert seen["params"] == {"mixing": {"training": {"seed": 3}}}
    with pytest.raises(SystemExit):  # python -m mixvision
        find_run_command("mixvision")(["--pipelines=mixing"])
    assert seen["env"] is None


def test_the_packages_command_leaves_an_interactive_session_open(monkeypatch):
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    monkeypatch.setattr(project.run, "callback", lambda **_: "what a run returns")
    assert main(["--pipelines=mixing"]) == "what a run returns"
