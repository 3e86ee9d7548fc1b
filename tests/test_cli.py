"""The command that makes a study's environment."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from mixvision.cli import cli


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
