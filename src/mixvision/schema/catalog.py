"""The tables by their names in the catalog."""

from __future__ import annotations

from mixvision.schema.columns import Table
from mixvision.schema.metrics import (
    ALTERNATIVES_TABLE,
    ARRIVALS,
    BASELINES_TABLE,
    COMPARISON,
    FROZEN_RATIOS,
    METRIC_TABLE,
    METRICS,
    OVERALL_METRICS,
    SCORES,
    TRANSFER_TABLE,
)
from mixvision.schema.tables import (
    ALTERNATIVES_TRIALS,
    ANSWERS,
    BACKBONES,
    BASELINES_OUTCOMES,
    BASELINES_TRIALS,
    EPOCHS_HISTORY,
    EPOCHS_OUTCOMES,
    EXCLUDED_FILES,
    INTERPOLATIONS,
    ITERATIVE_TRIALS,
    JOINED_PREDICTIONS,
    MANIFEST,
    MEMBERS,
    MISTAKES,
    MIXING_TRIALS,
    PREDICTIONS,
    PROBABILITIES,
    SELECTED_IMAGES,
    SPLIT_AUDIT,
    SPLIT_LEAKS,
    SWEEP_HISTORY,
    SWEEP_OUTCOMES,
    TRAINING_SETS,
    TRANSFER_HISTORY,
    TRANSFER_OUTCOMES,
    TRANSFER_TRIALS,
    TUNING_TRIALS,
)

SWEEPS = ("mixing", "leakage", "iterative", "alternatives", "tuning")
TABLES = {  # by the name in the catalog, prefixed with the pipeline where each has its own
    "submission.answers": ANSWERS,
    "selected_images": SELECTED_IMAGES,
    "manifest": MANIFEST,
    "excluded_files": EXCLUDED_FILES,
    "split_audit": SPLIT_AUDIT,
    "split_leaks": SPLIT_LEAKS,
    "mistakes": MISTAKES,
    "training_sets": TRAINING_SETS,
    "predictions": PREDICTIONS,
    "joined_predictions": JOINED_PREDICTIONS,
    "probabilities": PROBABILITIES,
    **{f"{study}.history": SWEEP_HISTORY for study in SWEEPS},
    **{f"{study}.outcomes": SWEEP_OUTCOMES for study in SWEEPS},
    **{f"{study}.metrics": METRICS for study in SWEEPS if study != "tuning"},
    **{f"{study}.metric_table": METRIC_TABLE for study in ("mixing", "iterative")},
    **{f"{study}.trials": MIXING_TRIALS for study in ("mixing", "leakage")},
    "leakage.comparison": COMPARISON,
    "alternatives.trials": ALTERNATIVES_TRIALS,
    "alternatives.table": ALTERNATIVES_TABLE,
    "iterative.trials": ITERATIVE_TRIALS,
    "iterative.interpolations": INTERPOLATIONS,
    "tuning.trials": TUNING_TRIALS,
    "tuning.scores": SCORES,
    "streams.arrivals": ARRIVALS,
    "baselines.trials": BASELINES_TRIALS,
    "baselines.history": EPOCHS_HISTORY,
    "baselines.outcomes": BASELINES_OUTCOMES,
    "baselines.table": BASELINES_TABLE,
    "baselines.metrics": OVERALL_METRICS,
    "transfer.backbones": BACKBONES,
    "transfer.trials": TRANSFER_TRIALS,
    "transfer.history": TRANSFER_HISTORY,
    "transfer.outcomes": TRANSFER_OUTCOMES,
    "transfer.ratio_outcomes": EPOCHS_OUTCOMES,
    "transfer.members": MEMBERS,
    "transfer.metrics": OVERALL_METRICS,
    "transfer.ratios": FROZEN_RATIOS,
    "transfer.table": TRANSFER_TABLE,
}


def table_named(name: str) -> Table:
    """Return the table with this name in the catalog; raise ValueError if there is none."""
    if name not in TABLES:
        raise ValueError(f"schema is {name!r}, but mixvision/schema/catalog.py declares only {', '.join(TABLES)}.")
    return TABLES[name]
