"""Settings come from a folder or an archive, with the files beside them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

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


def test_the_wheel_has_every_file_of_the_package():
    import tomllib

    patterns = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"][
        "mixvision"
    ]
    package = PROJECT / "src/mixvision"
    packed = {path for pattern in patterns for path in package.glob(pattern)} | set(package.rglob("*.py"))
    assert {path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"} == packed
