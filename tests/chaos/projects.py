"""Fresh projects to run in, on one of two file systems, with temporary files on the other."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import yaml
from subjects import Subject

SOURCE = Path(__file__).parents[2]


@dataclass(frozen=True)
class Place:
    """A file system for projects, and the one that TMPDIR names."""

    name: str
    projects: Path
    temporary: Path


@dataclass(frozen=True)
class Project:
    """A project's folder, and the command that is run in it; logs and temporary files are on the other file system."""

    folder: Path
    subject: Subject
    aside: Path

    @property
    def temporary(self) -> Path:
        return self.aside / "temporary"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def tracking(self) -> Path:
        return self.folder / "mlflow.db"


def both_places(disk: Path, memory: Path) -> tuple[Place, Place]:
    """Projects on the disk and temporary files in memory, and the other way round."""
    if disk.stat().st_dev == memory.stat().st_dev:
        sys.exit(f"{disk} and {memory} are on one file system: name folders on two with --disk and --memory.")
    return Place("disk", disk, memory), Place("memory", memory, disk)


def new_project(subject: Subject, place: Place, tracking: str | None = None) -> Project:
    """A project with a copy of the configuration and the settings of a subject; nothing has been run in it.

    Args:
        tracking: the address of an MLflow server; by default the project has its own database.
    """
    folder = Path(mkdtemp(prefix=f"chaos-{subject.name}-", dir=place.projects))
    shutil.copytree(SOURCE / "conf", folder / "conf", ignore=shutil.ignore_patterns("local"))
    shutil.copy(SOURCE / "pyproject.toml", folder)
    (folder / ".telemetry").write_text("consent: false\n")
    (folder / "src").mkdir()  # the package itself is found on PYTHONPATH
    local = folder / "conf" / "local"
    local.mkdir()
    (local / "parameters.yml").write_text(yaml.safe_dump(subject.parameters))
    (local / "globals.yml").write_text(yaml.safe_dump(subject.settings))
    if tracking:
        (local / "mlflow.yml").write_text(yaml.safe_dump({"server": {"mlflow_tracking_uri": tracking}}))
    project = Project(folder, subject, place.temporary / f"{folder.name}-aside")
    project.temporary.mkdir(parents=True)
    return project


def copy_database(project: Project, empty: Path) -> None:
    """Give the project an MLflow database without runs, as creating one takes longer than some pipelines."""
    with sqlite3.connect(empty) as source, sqlite3.connect(project.tracking) as target:
        source.backup(target)


def remove(project: Project) -> None:
    for folder in (project.folder, project.aside):
        shutil.rmtree(folder, ignore_errors=True)
