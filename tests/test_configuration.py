"""Settings come from a folder or an archive, with the files beside them."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path

import pytest
from kedro.framework.project import LOGGING

import mixvision.settings
from mixvision.configuration import ConfigLoader
from mixvision.settings import CONFIG_LOADER_ARGS

PROJECT = Path(__file__).parents[1]


def load_globals(source: Path) -> dict:
    return ConfigLoader(source, env="fruits", **CONFIG_LOADER_ARGS)["globals"]


def test_files_beside_the_settings_are_named_by_their_full_paths(monkeypatch):
    """A run begins in one folder and works in the project's."""
    monkeypatch.chdir(PROJECT / "tests")
    assert load_globals(Path("../conf"))["nice"]["mapping"] == f"{PROJECT}/tests/../conf/fruits/varieties.yml"


@pytest.mark.parametrize(("kind", "suffix"), [("gztar", ".tar.gz"), ("zip", ".zip")])
def test_an_archive_is_a_configuration_with_all_its_files(kind, suffix, tmp_path):
    archive = shutil.make_archive(tmp_path / "conf", kind, PROJECT, "conf")
    loader = ConfigLoader(archive, env="fruits", **CONFIG_LOADER_ARGS)
    assert archive.endswith(suffix) and loader["globals"]["study"] == "fruits"
    assert Path(loader["globals"]["published"]).read_bytes() == (PROJECT / "conf/fruits/published.yml").read_bytes()


def test_a_damaged_archive_is_named(tmp_path):
    archive = tmp_path / "conf.tar.gz"
    archive.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=rf"{archive} cannot be read .*: give --conf-source a folder"):
        ConfigLoader(archive, **CONFIG_LOADER_ARGS)


@pytest.mark.parametrize(
    ("content", "title"),
    [
        ("study: my_weeds", "My weeds"),
        ("study: my_weeds\ntitle: Weeds of the north", "Weeds of the north"),
        ("image_size: 32", "Handwritten digits"),
    ],
)
def test_a_study_without_a_title_is_headed_by_its_name(content, title, tmp_path):
    shutil.copytree(PROJECT / "conf/base", tmp_path / "conf/base")
    (tmp_path / "conf/mine").mkdir()
    (tmp_path / "conf/mine/globals.yml").write_text(content)
    loader = ConfigLoader(tmp_path / "conf", env="mine", **CONFIG_LOADER_ARGS)
    assert loader["globals"]["title"] == title
    assert loader["parameters"]["mixing"]["report"]["title"] == title


@pytest.mark.parametrize(
    ("file", "content", "complaint"),
    [
        ("globals.yml", "study: mine\nstudy: yours\n", r"globals\.yml, line 2: found duplicate key study"),
        ("globals.yml", "study: mine\nnice: {source: [a\n", r"globals\.yml, line 3: did not find expected ',' or '\]'"),
        ("globals.yml", "study: m\udcff\n", r"globals\.yml is no text in UTF-8"),
        ("globals.yml", "- study\n", r"globals\.yml holds a list, but must hold settings"),
        ("globals.yml", "study: ${nosuch}\n", r"The setting study in globals\.yml .* 'nosuch' not found"),
        ("mlflow.yml", "tracking: [a]\n", r"mlflow\.yml sets tracking to \['a'\], but it must be a mapping"),
        ("mlflow.yml", "tracking: {run: [a]}\n", r"mlflow\.yml sets tracking\.run to \['a'\], but"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_what_is_wrong(file, content, complaint, tmp_path):
    shutil.copytree(PROJECT / "conf/base", tmp_path / "conf/base")
    (tmp_path / "conf/mine").mkdir()
    (tmp_path / "conf/mine" / file).write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=complaint):
        loader = ConfigLoader(tmp_path / "conf", env="mine", **CONFIG_LOADER_ARGS)
        loader.config_patterns["mlflow"] = ["mlflow*"]  # as the plugin does
        loader[file.partition(".")[0]]


def test_the_wheel_has_every_file_of_the_package():
    import tomllib

    patterns = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"][
        "mixvision"
    ]
    package = PROJECT / "src/mixvision"
    packed = {path for pattern in patterns for path in package.glob(pattern)} | set(package.rglob("*.py"))
    assert {path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"} == packed


def test_logging_is_as_configured_before_plug_ins_are_imported(tmp_path, monkeypatch):
    """Kedro reads the settings first, but looks for logging.yml in the current folder alone: here it is a subfolder."""
    (tmp_path / "pyproject.toml").write_text("[tool.kedro]\npackage_name = 'mixvision'\n")
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/logging.yml").write_text("version: 1")
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    monkeypatch.delenv("KEDRO_LOGGING_CONFIG", raising=False)
    configured: list[dict] = []
    monkeypatch.setattr(LOGGING, "configure", configured.append)
    runpy.run_path(mixvision.settings.__file__)
    assert configured == [{"version": 1}]
