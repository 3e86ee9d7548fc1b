"""Kills at random moments of named stages: the same command, started again, must end as if nothing had happened."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from projects import Place, Project, remove
from references import Findings, Reference, compare
from runs import start
from stages import TRAINING, Stage
from subjects import ALL

COUNT, SUBJECTS = 100, ALL
ATTEMPTS = 3  # to finish after the last kill
AGAIN = 0.25  # chance that the rerun is killed, too
POLITELY = 0.2  # chance of SIGTERM instead of SIGKILL


@dataclass
class Case:
    """One project whose command was killed once or twice."""

    subject: str
    place: str
    kinds: list[str] = field(default_factory=list)  # of the stages in which it was killed
    signals: list[str] = field(default_factory=list)
    reruns: int = 0
    compared: int = 0
    findings: Findings = field(default_factory=Findings)
    trouble: str = ""  # what a failed rerun said, and where

    @property
    def lost(self) -> bool:
        return bool(self.trouble or self.findings)


def disturb(reference: Reference, place: Place, seed: Sequence[int]) -> Case:
    """Run, kill, rerun and compare; the seed decides when. The project is kept if anything is wrong."""
    generator, project = np.random.default_rng(seed), reference.new_project(place)
    case = Case(reference.subject.name, place.name)
    for _ in range(2 if generator.random() < AGAIN else 1):
        _kill_once(project, choose_stage(reference.stages, generator), generator, case)
    while case.reruns < ATTEMPTS:
        run = start(project)
        case.reruns += 1
        if run.finish():
            break
        case.trouble = f"{run.log} (status {run.status}): {run.last_words}"
    else:
        return case
    case.compared, case.findings = len(reference.files), compare(project, reference)
    if case.findings or case.trouble:
        case.trouble = case.trouble or str(project.folder)
    else:
        remove(project)
    return case


def choose_stage(stages: Sequence[Stage], generator: np.random.Generator) -> Stage:
    """One of the stages of a kind: half of the time of training, and else all kinds are equally likely."""
    kinds = sorted({stage.kind for stage in stages})
    training = sorted(TRAINING.intersection(kinds))
    if training and generator.random() < 0.5:
        kinds = training
    kind = kinds[generator.integers(len(kinds))]
    among = [stage for stage in stages if stage.kind == kind]
    return among[generator.integers(len(among))]


def _kill_once(project: Project, stage: Stage, generator: np.random.Generator, case: Case) -> None:
    run = start(project)
    run.wait_for(stage, generator.random())
    if not run.poll():
        sent = signal.SIGTERM if generator.random() < POLITELY else signal.SIGKILL
        run.kill(sent)
        case.kinds.append(stage.kind)
        case.signals.append(sent.name)
    elif run.status != 0:
        case.trouble = f"{run.log} (status {run.status}): {run.last_words}"


def tables(cases: Sequence[Case]) -> list[list[dict[str, object]]]:
    """A row for every subject and one for all; and how often each kind of stage was hit."""
    names = list(dict.fromkeys(case.subject for case in cases))
    groups = [(name, [case for case in cases if case.subject == name]) for name in names]
    hits = Counter(kind for case in cases for kind in case.kinds)
    stages: list[dict[str, object]] = [{"stage": kind, "kills": count} for kind, count in hits.most_common()]
    return [[_row(name, group) for name, group in [*groups, ("all", cases)]], stages]


def _row(name: str, cases: Sequence[Case]) -> dict[str, object]:
    sent = Counter(signal for case in cases for signal in case.signals)
    places = Counter(case.place for case in cases for _ in case.kinds)
    return {
        "subject": name,
        "kills": sent.total(),
        **{name: sent[name] for name in ("SIGKILL", "SIGTERM")},
        **{f"on {place}": places[place] for place in ("disk", "memory")},
        "stages hit": len({kind for case in cases for kind in case.kinds}),
        "most reruns": max((case.reruns for case in cases), default=0),
        "files compared": sum(case.compared for case in cases),
        "files that differ": sum(len(case.findings.files) for case in cases),
        "points lost": sum(case.findings.points for case in cases),
        "lost": sum(case.lost for case in cases),
    }
