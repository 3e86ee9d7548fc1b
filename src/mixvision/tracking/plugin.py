"""kedro-mlflow's hook, which opens the run; the parameters that it logs before each node go to the journal."""

from __future__ import annotations

from typing import Any, cast

from kedro.framework.context import KedroContext
from kedro.pipeline import Pipeline
from kedro_mlflow.config.kedro_mlflow_config import KedroMlflowConfig
from kedro_mlflow.framework.hooks.mlflow_hook import MlflowHook
from mlflow.tracking.fluent import _active_run_stack
from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH

from mixvision.parameter_names import flat
from mixvision.tracking.journal import Journal


class Plugin(MlflowHook):
    """Contacts MLflow when a run starts, and not again before each node."""

    journal: Journal  # set once the run is open

    @property
    def is_foreign(self) -> bool:
        """Whether the run was open before Kedro began, as in a notebook."""
        return self._already_active_mlflow

    def configure(self, context: KedroContext) -> None:
        """Give the context what ``kedro mlflow ui`` asks of it, without setting MLflow up."""
        cast(Any, context).mlflow = KedroMlflowConfig.model_validate(context.config_loader["mlflow"])

    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: Any) -> None:
        self.run_id = None
        super().before_pipeline_run(run_params, pipeline, catalog)
        self.run_id = None  # otherwise each node would enter the run again, for the nodes of other threads

    def leave(self) -> None:
        """Make this process's next run a new one. ``mlflow.end_run`` would contact MLflow, which may be away."""
        if not self.is_foreign:
            _active_run_stack.get().clear()

    def _log_param(self, name: str, value: Any) -> None:
        """Log a parameter for each setting inside it, so that runs compare."""
        for place, setting in flat(value, name):
            self._log_setting(place, str(setting))

    def _log_setting(self, name: str, text: str) -> None:
        if len(text) <= MAX_PARAM_VAL_LENGTH:
            self.journal.write("log_params", params={name: text})
        elif self.long_params_strategy == "tag":
            self.journal.write("set_tag", name=name, value=text)
        elif self.long_params_strategy == "truncate":
            self.journal.write("log_params", params={name: text[:MAX_PARAM_VAL_LENGTH]})
        else:
            raise ValueError(
                f"Parameter {name!r} has {len(text)} characters, of which MLflow takes {MAX_PARAM_VAL_LENGTH}: set "
                "tracking.params.long_params_strategy in mlflow.yml to tag or truncate."
            )
