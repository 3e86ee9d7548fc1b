"""Optuna's studies in a file, whose finished trials have checksums."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path

import optuna
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial
from sqlalchemy.exc import SQLAlchemyError

log = logging.getLogger(__name__)

CHECKSUM = "checksum"  # an attribute of a trial; those of versions before 0.4 have none


def open_studies(file: Path, names: Mapping[int, str]) -> dict[int, optuna.Study]:
    """The studies by ratio, from a file or new; a file that is damaged is set aside, and the search starts anew."""
    try:
        studies = _open(file, names)
        trials = [trial for study in studies.values() for trial in study.get_trials(deepcopy=False)]
        is_whole = all(trial.user_attrs.get(CHECKSUM) in (None, checksum(trial)) for trial in trials)
    except (SQLAlchemyError, StorageInternalError, ValueError, LookupError, AssertionError):
        is_whole = False
    if is_whole:
        return studies
    aside = file.with_name(f"{file.name}.damaged")
    file.replace(aside)
    log.warning("The finished trials in %s are damaged; it is now %s. The search starts anew.", file, aside.name)
    return _open(file, names)


def _open(file: Path, names: Mapping[int, str]) -> dict[int, optuna.Study]:
    storage = optuna.storages.RDBStorage(f"sqlite:///{file}")
    return {
        ratio: optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)
        for ratio, name in names.items()
    }


def checksum(trial: FrozenTrial) -> str:
    """SHA-256 of all that is recorded of a trial."""
    attributes = {name: value for name, value in trial.user_attrs.items() if name != CHECKSUM}
    content = [trial.state.name, trial.value, trial.params, trial.intermediate_values, attributes]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
