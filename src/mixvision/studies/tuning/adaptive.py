"""The adaptive search for a learning rate and an L2 factor with Optuna, on the grid's budget."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState, create_trial

from mixvision.studies.tuning.grid import UNLUCKY, Grid, ValidationSweeps
from mixvision.studies.tuning.storage import CHECKSUM, checksum, open_studies
from mixvision.training.events import SILENT, TrainingEvents, TrainingListener
from mixvision.training.results import NoResultError
from mixvision.vocabulary import CANCELLED, MISSING, PRUNED

STATES = {PRUNED: TrialState.PRUNED} | dict.fromkeys(UNLUCKY, TrialState.FAIL)

log = logging.getLogger(__name__)
optuna.logging.set_verbosity(optuna.logging.WARNING)  # no line for every study that is opened


@dataclass(frozen=True)
class AdaptiveSearch:
    """How Optuna searches: one study a ratio, with tree-structured Parzen estimators and the median pruner.

    A trial that diverged has the value 0 in its study, so that its setting is avoided; the pruner ignores it. One that
    was cancelled or ran out of memory has no value, as that says nothing of its setting.

    Attributes:
        proposals: settings that every study proposes for a round; all trials of a round train as one sweep.
        startup_trials: random trials of a ratio at the start, and complete trials that are needed before one is pruned.
        warmup_iterations: iterations of every trial before it may be pruned.
        seed: of the proposals. The trials themselves use the grid's seed.
    """

    proposals: int = 1
    startup_trials: int = 4
    warmup_iterations: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("proposals", 1), ("startup_trials", 1), ("warmup_iterations", 0), ("seed", 0)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise ValueError(f"{name} is {value!r}; give a whole number of {least} or more.")


def search_adaptively(
    search: AdaptiveSearch, grid: Grid, sweeps: ValidationSweeps, folder: Path, events: TrainingListener = SILENT
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Search within the grid's range of both settings, for each of its ratios, until its budget is spent.

    Unless it is pruned, a trial is as long as those of the grid's final step. The search ends when the next round might
    exceed the budget.

    The studies are kept in ``folder`` as ``studies.db``, with complete trials only. A round's proposals depend only on
    earlier rounds, so a killed search proposes its unfinished round again, and the sweep continues from its checkpoint.
    The studies' names depend on everything that decides the results: when it changes, the search starts over. The
    checkpoints are in a folder of that name, as they record which trials were pruned but not by which settings.

    Returns:
        As ``search_grid``, without predictions: the trials (their step is "adaptive"), history and outcomes.

    Raises:
        ValueError: one round costs more than the budget.
    """
    cost = len(grid.ratios) * search.proposals * grid.final_iterations
    if cost > grid.budget:
        raise ValueError(
            f"proposals is {search.proposals}: one round of the adaptive search takes up to {cost} model-iterations, "
            f"more than its budget, the grid's {grid.budget}. Lower proposals."
        )
    name = sweeps.fingerprint(astuple(search), astuple(grid), optuna.__version__)
    sweeps = sweeps.with_checkpoints_in(name)
    studies = open_studies(folder / "studies.db", {ratio: f"{name}-ratio-{ratio:03d}" for ratio in grid.ratios})
    spent = 0
    tables: list[tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]] = []
    while spent + cost <= grid.budget:
        log.info("Adaptive search: round %d, %d of %d model-iterations spent.", len(tables) + 1, spent, grid.budget)
        turn = _Round(search, grid, studies, len(tables))
        if lost := turn.lost():
            text = "Not tried again, as later rounds follow them: %s. To search anew, delete %s."
            log.warning(text, ", ".join(lost), folder / "studies.db")
        tables.append(turn.complete(sweeps, events))
        ended = tables[-1][2]  # a trial that never began costs its part, too, or the search might go on for ever
        spent += int(ended["iterations"].where(~ended["status"].isin(UNLUCKY), grid.final_iterations).sum())
    return tuple(pd.concat(parts, ignore_index=True) for parts in zip(*tables, strict=True))


class _Round(TrainingListener):
    """The trials that all studies propose together.

    It listens to the sweep, as this is the only way to hear of the evaluations before a checkpoint.
    """

    def __init__(self, search: AdaptiveSearch, grid: Grid, studies: Mapping[int, optuna.Study], number: int) -> None:
        begin = number * search.proposals
        self.studies, self.space = studies, _space(grid)
        self.earlier = {ratio: _trials_before(study, begin) for ratio, study in studies.items()}
        self.pruner = optuna.pruners.MedianPruner(
            search.startup_trials, search.warmup_iterations, n_min_trials=search.startup_trials
        )
        places = [(ratio, place) for place in range(begin, begin + search.proposals) for ratio in studies]
        self.places = {f"adaptive-{ratio:03d}-{place:03d}": (ratio, place) for ratio, place in places}
        proposals = {
            trial: _propose(self.earlier[ratio], self.space, search, ratio, place)
            for trial, (ratio, place) in self.places.items()
        }
        self.recorded = self._read_recorded()
        self.settings = {
            trial: self.recorded[trial].params if trial in self.recorded else proposals[trial] for trial in proposals
        }
        self.facts = {"step": "adaptive", "round": number, "seed": grid.seed, "iterations": grid.final_iterations}
        self.rows: dict[str, dict[int, dict]] = {trial: {} for trial in self.places}
        self.failures: dict[str, str] = {}

    def complete(
        self, sweeps: ValidationSweeps, events: TrainingListener
    ) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        """Train what is not in the studies yet; return the round's trials, history and outcomes from the studies."""
        if len(self.recorded) < len(self.places):
            self._record(self._train(sweeps, events))
            self.recorded = self._read_recorded()
        else:
            _tell(events, self._table(), self.recorded)
        history = [row for frozen in self.recorded.values() for row in frozen.user_attrs["history"]]
        outcomes = [
            {"trial": trial} | {name: frozen.user_attrs[name] for name in ("status", "reason", "iterations")}
            for trial, frozen in self.recorded.items()
        ]
        return self._table(), pd.DataFrame(history), pd.DataFrame(outcomes)

    def lost(self) -> list[str]:
        """The trials that were cancelled or out of memory in an earlier run, each with this status."""
        ends = {trial: frozen.user_attrs["status"] for trial, frozen in self.recorded.items()}
        return [f"{trial} ({status})" for trial, status in ends.items() if status in UNLUCKY]

    def _table(self) -> pd.DataFrame:
        rows = [
            {"trial": trial, "ratio": ratio, **self.settings[trial], **self.facts}
            for trial, (ratio, _) in self.places.items()
        ]
        return pd.DataFrame(rows)[["trial", "step", "round", "ratio", "seed", "learning_rate", "l2", "iterations"]]

    def _read_recorded(self) -> dict[str, FrozenTrial]:
        """The trials that the studies already contain, to be read only."""
        held = {ratio: study.get_trials(deepcopy=False) for ratio, study in self.studies.items()}
        return {trial: held[ratio][place] for trial, (ratio, place) in self.places.items() if place < len(held[ratio])}

    def _train(self, sweeps: ValidationSweeps, events: TrainingListener) -> pd.DataFrame:
        try:
            return sweeps.train(self._table(), self.prune, TrainingEvents(events, self)).outcomes
        except NoResultError as error:
            return error.outcomes

    def _record(self, outcomes: pd.DataFrame) -> None:
        outcomes = outcomes.set_index("trial")
        for trial in self.places:
            if trial in self.recorded:  # recorded before the search was killed
                continue
            status, reason, iterations = outcomes.loc[trial, ["status", "reason", "iterations"]]
            values = {} if status in MISSING else self._values(trial)
            ended = create_trial(
                state=STATES.get(status, TrialState.COMPLETE),
                value=None if status in UNLUCKY else max(values.values(), default=0.0),
                params=self.settings[trial],
                distributions=self.space,
                intermediate_values=values,
                user_attrs={
                    "status": status,
                    "reason": reason,
                    "iterations": int(iterations),
                    "history": list(self.rows[trial].values()),
                },
            )
            ended.set_user_attr(CHECKSUM, checksum(ended))
            self.studies[self.places[trial][0]].add_trial(ended)

    def _values(self, trial: str) -> dict[int, float]:
        return {iteration: row["performance_top1"] for iteration, row in self.rows[trial].items()}

    def prune(self, rows: list[dict]) -> set[str]:
        """The trials of these rows that are worse than the median of earlier rounds at the same iteration."""
        return {row["trial"] for row in rows if row["trial"] not in self.failures and self._is_poor(row["trial"])}

    def _is_poor(self, trial: str) -> bool:
        seen = create_trial(
            state=TrialState.RUNNING,
            params=self.settings[trial],
            distributions=self.space,
            intermediate_values=self._values(trial),
        )
        return self.pruner.prune(self.earlier[self.places[trial][0]], seen)

    def evaluated(self, history: list[dict]) -> None:
        for row in history:
            self.rows[row["trial"]][row["iteration"]] = row

    def failed(self, trial: str, reason: str) -> None:
        self.failures[trial] = reason


def _space(grid: Grid) -> dict[str, BaseDistribution]:
    """The grid's range of both settings, on a logarithmic scale."""
    rates = (*grid.learning_rates, grid.final_learning_rate or grid.learning_rates[0])
    factors = (grid.first_l2, *grid.l2_factors, *grid.final_l2_factors)
    return {
        name: FloatDistribution(min(values), max(values), log=True)
        for name, values in (("learning_rate", rates), ("l2", factors))
    }


def _trials_before(study: optuna.Study, number: int) -> optuna.Study:
    """A copy in memory of a study, with its trials before this number.

    It has what proposals and the pruner look at; copying every trial's history again for each round takes long.
    """
    copy = optuna.create_study(direction="maximize")
    for trial in study.get_trials(deepcopy=False)[:number]:
        copy.add_trial(
            create_trial(
                state=trial.state,
                value=trial.value,
                params=trial.params,
                distributions=trial.distributions,
                intermediate_values=trial.intermediate_values,
            )
        )
    return copy


def _propose(
    study: optuna.Study, space: dict[str, BaseDistribution], search: AdaptiveSearch, ratio: int, place: int
) -> dict[str, float]:
    """The next setting to try, which depends only on the arguments; the study records it as a running trial."""
    seed = np.random.SeedSequence([search.seed, ratio, place]).generate_state(1).item()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # Optuna calls these two options experimental
        study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=search.startup_trials, multivariate=True, constant_liar=True, seed=seed
        )
    return study.ask(space).params


def _tell(events: TrainingListener, trials: pd.DataFrame, recorded: Mapping[str, FrozenTrial]) -> None:
    """Report the trials of an earlier run, as a sweep does that continues from its checkpoint."""
    events.started(trials)
    for trial, frozen in recorded.items():
        events.evaluated(frozen.user_attrs["history"])
        if frozen.user_attrs["status"] == CANCELLED:
            events.cancelled(trial, frozen.user_attrs["reason"])
        elif frozen.user_attrs["status"] in MISSING:
            events.failed(trial, frozen.user_attrs["reason"])
        elif frozen.user_attrs["status"] == PRUNED:
            events.pruned(trial, frozen.user_attrs["iterations"])
        else:
            events.finished(trial)
