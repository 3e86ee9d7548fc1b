"""Damaged files: what is kept between runs is cut off or has a flipped byte, and the next run must notice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree

import numpy as np
from comparison import differences, digests
from projects import Place, Project, remove
from references import Reference
from runs import Run, start


@dataclass(frozen=True)
class Kept:
    """A kind of file: a pattern below the project, and what is run to read it again."""

    subject: str
    pattern: str
    arguments: tuple[str, ...] = ()  # of the next run, if not those of the first
    interrupted: bool = False  # only a run that was killed leaves it
    folder: bool = False  # whether its whole folder is to be deleted if it is refused


AFTER_INGESTION = ("--pipelines=mixing", "--from-nodes=mixing.train.plan_trials")
KEPT = [
    Kept("copies", "data/02_intermediate/digits/nice/pixels.npy"),
    Kept("copies", "data/02_intermediate/digits/nice/thumbnails.npy"),
    Kept("copies", "data/02_intermediate/digits/real/inventory.parquet"),
    Kept("copies", "data/02_intermediate/digits/real/settings.json"),
    Kept("copies", "data/02_intermediate/digits/pairs/*.*"),
    Kept("copies", "mlflow.db"),
    Kept("mixing", "data/02_intermediate/digits/nice/pixels.npy", AFTER_INGESTION),
    Kept("mixing", "data/02_intermediate/digits/real/inventory.parquet", AFTER_INGESTION),
    Kept("mixing", "data/03_primary/digits/manifest.parquet", AFTER_INGESTION),
    Kept(
        "mixing",
        "data/07_model_output/digits/mixing/predictions.parquet",
        ("--from-nodes=mixing.report.join_predictions",),
    ),
    Kept("mixing", "data/06_models/digits/mixing/checkpoints/*/last.ckpt", interrupted=True),
    Kept("iterative", "data/06_models/digits/iterative/checkpoints/**/last.ckpt", interrupted=True),
    Kept("baselines", "data/06_models/digits/baselines/checkpoints/**/last.ckpt", interrupted=True),
    Kept("transfer", "data/04_feature/digits/transfer/*.safetensors"),
    Kept("transfer", "data/06_models/digits/transfer/checkpoints/**/last.ckpt", interrupted=True),
    Kept("submission", "data/06_models/digits/transfer/networks/**/*.safetensors", ("--pipelines=submission",)),
    Kept("tuning", "data/06_models/digits/tuning/studies/studies.db", interrupted=True),
    Kept("streams", "data/06_models/digits/streams/state/run-001/network.safetensors", folder=True),
    Kept("streams", "data/06_models/digits/streams/state/run-001/images.parquet", folder=True),
]
COUNT, SUBJECTS = 2 * len(KEPT), [kept.subject for kept in KEPT]
SECONDS = 0.5  # at most, between the first file of its kind and the kill
FOUND = ("refused by name", "repaired with a word", "made again")


@dataclass
class Case:
    kept: Kept
    damage: str  # "cut off" or "flipped"
    outcome: str = ""
    differences: list[str] = field(default_factory=list)
    trouble: str = ""

    @property
    def lost(self) -> bool:
        return self.outcome not in FOUND or bool(self.differences)


def disturb(reference: Reference, place: Place, seed: Sequence[int]) -> Case:
    """Run, damage one kind of file, run again; if that is refused, delete what is damaged and run once more."""
    generator = np.random.default_rng(seed)
    among = [kept for kept in KEPT if kept.subject == reference.subject.name]
    turn, number = divmod(seed[-1], len(KEPT))
    case = Case(among[seed[-1] % len(among)], ("cut off", "flipped")[(turn + number) % 2])
    project = reference.new_project(place)
    _run_first(project, case.kept, generator)
    damaged = {file: _damage(file, case.damage, generator) for file in project.folder.glob(case.kept.pattern)}
    run = start(project, *case.kept.arguments)
    ended_well = run.finish()
    case.outcome = _outcome(run, damaged)
    if not ended_well:
        for file in damaged:
            if case.kept.folder:
                rmtree(file.parent)
            else:
                file.unlink(missing_ok=True)
        ended_well = start(project).finish()
    case.differences = differences(digests(project), reference.files) if ended_well else ["the last run failed"]
    if case.lost:
        case.trouble = f"{run.log}: {run.last_words}"
    else:
        remove(project)
    return case


def _run_first(project: Project, kept: Kept, generator: np.random.Generator) -> None:
    """Run the command to its end, or kill it soon after it has written a file of this kind."""
    run = start(project)
    if kept.interrupted:
        run.wait(lambda: any(project.folder.glob(kept.pattern)))
        run.wait(seconds=SECONDS * generator.random())
        run.kill()
    elif not run.finish():
        raise RuntimeError(f"The undisturbed run failed, see {run.log}: {run.last_words}")


def _damage(file: Path, damage: str, generator: np.random.Generator) -> bytes:
    """Cut a file off, or invert one of its bytes, at a random place; return its new content."""
    content = bytearray(file.read_bytes())
    place = int(generator.integers(len(content)))
    if damage == "cut off":
        del content[place:]
    else:
        content[place] ^= 0xFF
    file.write_bytes(content)
    return bytes(content)


def _outcome(run: Run, damaged: dict[Path, bytes]) -> str:
    """What the run did about the files, in words."""
    log = run.log.read_text(errors="replace")
    named = any(file.name in log for file in damaged)
    if run.status != 0:
        return "refused by name" if named else "failed without a name"
    if not damaged:
        return "there was no such file"
    if named:
        return "repaired with a word"
    still = [file for file, content in damaged.items() if file.exists() and file.read_bytes() == content]
    return "used in silence" if still else "made again"


def tables(cases: Sequence[Case]) -> list[list[dict[str, object]]]:
    """A row for each kind of file and damage."""
    order = sorted(cases, key=lambda case: (KEPT.index(case.kept), case.damage))
    rows: list[dict[str, object]] = [
        {
            "file": case.kept.pattern.removeprefix("data/"),
            "next run": " ".join(case.kept.arguments) or "the same",
            "damage": case.damage,
            "outcome": case.outcome,
            "files that differ": len(case.differences),
            "lost": int(case.lost),
        }
        for case in order
    ]
    return [rows]
