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


def test_two_folders_become_an_environment_of_six_lines(run):
    result = run("weeds", "--nice", "catalogue", "--real", "field")
    assert result.exit_code == 0, result.output
    lines = Path("conf/weeds/globals.yml").read_text().splitlines()
    assert len(lines) == 6
    settings = yaml.safe_load("\n".join(lines))
    assert settings["study"] == "weeds"
    assert settings["nice"] == {"source": "catalogue"} and settings["real"] == {"source": "field"}
    assert "kedro run --env=weeds --pipelines=mixing" in result.output


@pytest.mark.parametrize(("given", "absent"), [("real", "nice"), ("nice", "real")])
def test_one_folder_becomes_an_environment_of_one_domain(run, given, absent):
    result = run("weeds", f"--{given}", "field")
    assert result.exit_code == 0, result.output
    settings = yaml.safe_load(Path("conf/weeds/globals.yml").read_text())
    assert settings[given] == {"source": "field"} and settings[absent] == {"source": None}
    assert "iterations" not in settings  # baselines count in epochs
    assert "--pipelines=baselines" in result.output and "mixing" not in result.output


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("weeds", "--nice", "nowhere", "--real", "field"), "nothing at 'nowhere'"),
        (("weeds", "--nice", "", "--real", "field"), "nothing at ''"),
        (("weeds",), "--nice, --real or both"),
        (("Bad Name", "--nice", "catalogue", "--real", "field"), "small letters"),
        (("base", "--nice", "catalogue", "--real", "field"), "not base or local"),
    ],
)
def test_what_cannot_be_a_study_is_refused(run, arguments, complaint):
    result = run(*arguments)
    assert result.exit_code != 0 and complaint in " ".join(result.output.split())
    assert not Path("conf").exists()


def test_a_name_that_yaml_takes_for_something_else_stays_a_name(run):
    Path('odd "place"').mkdir()
    run("on", "--nice", 'odd "place"', "--real", "field")
    settings = yaml.safe_load(Path("conf/on/globals.yml").read_text())
    assert settings["study"] == "on" and settings["nice"] == {"source": 'odd "place"'}


def test_an_existing_study_is_not_overwritten(run):
    run("weeds", "--nice", "catalogue", "--real", "field")
    result = run("weeds", "--nice", "field", "--real", "field")
    assert result.exit_code != 0 and "exists already" in result.output
    assert "catalogue" in Path("conf/weeds/globals.yml").read_text()
