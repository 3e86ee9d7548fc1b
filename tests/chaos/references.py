"""Uninterrupted runs, with which all others are compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from comparison import curves, differences, digests, statuses
from projects import Place, Project, copy_database, new_project, remove
from runs import run_cold, start
from stages import Stage, stages_of
from subjects import Subject

WITHOUT_DATABASE = {"copies"}  # its runs set up MLflow, too


@dataclass(frozen=True)
class Reference:
    """What an uninterrupted run of a subject did and left."""

    subject: Subject
    database: Path  # of MLflow, without runs
    stages: list[Stage]
    files: dict[str, str]
    points: dict[tuple[str, str, int], float]

    def new_project(self, place: Place, tracking: str | None = None) -> Project:
        return _prepared(self.subject, place, self.database, tracking)


@dataclass
class Findings:
    """What is wrong with a project after its last run; nothing should be."""

    files: list[str] = field(default_factory=list)
    points: int = 0  # of curves that are missing or different
    running: int = 0  # runs that MLflow believes to be alive

    def __bool__(self) -> bool:
        return bool(self.files or self.points or self.running)


def make_reference(subject: Subject, place: Place, database: Path, cold: bool = False) -> Reference:
    """Run a subject without disturbing it, and if `cold`, once more in a fresh interpreter, with equal results.

    Raises:
        RuntimeError: the undisturbed run failed, or both differ.
    """
    project = _prepared(subject, place, database)
    run = start(project)
    if not run.finish():
        raise RuntimeError(f"The undisturbed run of {subject.name} failed, see {run.log}: {run.last_words}")
    stages = stages_of(run.notes, run.ended)
    reference = Reference(subject, database, stages, digests(project), curves(project))
    remove(project)
    if cold:
        project = _prepared(subject, place, database)
        run_cold(project)
        if found := compare(project, reference):
            raise RuntimeError(f"A run in a fresh interpreter differs, see {project.folder}: {found}")
        remove(project)
    return reference


def compare(project: Project, reference: Reference) -> Findings:
    points = curves(project)
    different = [point for point, value in reference.points.items() if points.get(point) != value]
    return Findings(differences(digests(project), reference.files), len(different), statuses(project)["RUNNING"])


def make_database(file: Path) -> None:
    """Make an MLflow database without runs."""
    maker = get_context("fork").Process(target=_set_up_mlflow, args=(f"sqlite:///{file}",))
    maker.start()
    maker.join()


def _set_up_mlflow(address: str) -> None:
    import mlflow

    mlflow.MlflowClient(address).search_experiments()


def _prepared(subject: Subject, place: Place, database: Path, tracking: str | None = None) -> Project:
    project = new_project(subject, place, tracking)
    if subject.name not in WITHOUT_DATABASE:
        copy_database(project, database)
    return project
