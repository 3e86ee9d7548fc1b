"""Kedro settings: how configuration is merged, and the hooks of every run."""

from mixvision.addresses import shown
from mixvision.cancellations import Cancellations
from mixvision.catalog_names import CatalogNames
from mixvision.configuration import ConfigLoader, log_as_configured, project_folder
from mixvision.hooks import ParameterNames, ProjectFolder, RunSummary, SourceCheck
from mixvision.interruptions import Termination
from mixvision.locks import StudyLock
from mixvision.memory_errors import MemoryErrors
from mixvision.provenance import Provenance
from mixvision.tracking.hooks import Tracking

log_as_configured(project_folder() / "conf")  # before plug-ins are imported, which warn of themselves

DISABLE_HOOKS_FOR_PLUGINS = ("kedro_mlflow", "kedro-mlflow")  # by either name: Tracking calls its hook
HOOKS = (
    StudyLock(),
    ParameterNames(),
    CatalogNames(),
    Termination(),
    SourceCheck(),
    Tracking(),
    Cancellations(),
    MemoryErrors(),
    Provenance(),
    RunSummary(),
    ProjectFolder(),
)

CONFIG_LOADER_CLASS = ConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "config_patterns": {"mlflow": ["mlflow*", "mlflow*/**", "**/mlflow*"]},
    # A study names only what it changes; everything else of a nested setting comes from conf/base.
    "merge_strategy": {"globals": "soft", "parameters": "soft", "mlflow": "soft"},
    "custom_resolvers": {
        "twice": lambda number: 2 * number,  # iterative training: half the images, twice the steps
        "shown": shown,  # an address without its password
    },
}
