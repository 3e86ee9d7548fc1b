"""Kedro settings: how configuration is merged, and the hooks of every run."""

from mixvision.addresses import shown
from mixvision.hooks import ParameterNames, ReportArtifacts, RunSummary, SourceCheck, Termination, TrialRuns
from mixvision.locks import SetUpLock, StudyLock

HOOKS = (
    SetUpLock(),
    StudyLock(),
    ParameterNames(),
    Termination(),
    SourceCheck(),
    TrialRuns(),
    ReportArtifacts(),
    RunSummary(),
)

CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # A study names only what it changes; everything else of a nested setting comes from conf/base.
    "merge_strategy": {"globals": "soft", "parameters": "soft"},
    "custom_resolvers": {
        "twice": lambda number: 2 * number,  # iterative training: half the images, twice the steps
        "shown": shown,  # an address without its password
    },
}
