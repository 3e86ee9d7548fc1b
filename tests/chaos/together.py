"""Two runs of one command at once in a fresh project: one waits for the other, and both end well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from projects import Place, new_project, remove
from references import Findings, Reference, compare
from runs import start

COUNT, SUBJECTS = 10, ["copies", "mixing"]


@dataclass(frozen=True)
class Pair:
    subject: str
    place: str
    statuses: tuple[int | None, int | None]
    findings: Findings
    trouble: str

    @property
    def lost(self) -> bool:
        return self.statuses != (0, 0) or bool(self.findings)


def disturb(reference: Reference, place: Place, seed: Sequence[int]) -> Pair:
    """Start both at the same moment, without a database of MLflow, and compare what they leave."""
    project = new_project(reference.subject, place)
    both = [start(project), start(project)]
    ended_well = [run.finish() for run in both]
    findings = compare(project, reference) if all(ended_well) else Findings()
    trouble = " ".join(f"{run.log}: {run.last_words}" for run in both if run.status != 0)
    if not trouble and not findings:
        remove(project)
    return Pair(reference.subject.name, place.name, (both[0].status, both[1].status), findings, trouble)


def tables(pairs: Sequence[Pair]) -> list[list[dict[str, object]]]:
    """A row for each subject."""
    subjects = dict.fromkeys(pair.subject for pair in pairs)
    groups = [(name, [pair for pair in pairs if pair.subject == name]) for name in subjects]
    rows: list[dict[str, object]] = [
        {
            "subject": name,
            "pairs of runs": len(group),
            "both ended well": sum(pair.statuses == (0, 0) for pair in group),
            "files that differ": sum(len(pair.findings.files) for pair in group),
            "lost": sum(pair.lost for pair in group),
        }
        for name, group in groups
    ]
    return [rows]
