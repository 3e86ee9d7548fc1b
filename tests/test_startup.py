"""Commands import only what they need."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

KEDRO = "import kedro.framework.context, kedro.framework.hooks, kedro.io, kedro.pipeline"
REGISTRY = f"{KEDRO}, mixvision.settings, mixvision.pipeline_registry as registry; registry.register_pipelines()"
OURS = {
    "mixvision",
    "mixvision.hooks",
    "mixvision.pipeline_registry",
    "mixvision.parameter_names",
    "mixvision.settings",
    "mixvision.training",
    "mixvision.training.events",
    "mixvision.vocabulary",
}


def modules_after(code: str) -> set[str]:
    """The modules outside the standard library that a fresh Python has loaded after running this code."""
    printed = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    loaded = set(printed.stdout.split())
    return {module for module in loaded if module.partition(".")[0] not in sys.stdlib_module_names}


def test_listing_the_pipelines_imports_no_libraries():
    extra = modules_after(REGISTRY) - modules_after(KEDRO)
    assert {module for module in extra if module.startswith("mixvision")} == OURS
    assert {module.partition(".")[0] for module in extra} == {"mixvision"}


@pytest.mark.parametrize(
    ("pipeline", "absent"),
    [
        ("mixing", {"timm", "captum", "optuna", "mlflow"}),
        ("ingestion", {"torch", "timm", "captum", "optuna", "mlflow", "lightning", "plotly"}),
    ],
)
def test_a_pipeline_imports_only_what_it_uses(pipeline, absent):
    loaded = {module.partition(".")[0] for module in modules_after(f"{REGISTRY}[{pipeline!r}].nodes")}
    assert {"pandas", "faiss"} <= loaded and not loaded & absent


@pytest.mark.parametrize(("own", "used"), [(None, "2000"), ("7", "7")])
def test_threads_that_wait_go_to_sleep_soon_unless_the_user_says_otherwise(own, used):
    """OpenMP prints its settings when PyTorch loads it."""
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    environment |= {"OMP_DISPLAY_ENV": "verbose"} | ({"GOMP_SPINCOUNT": own} if own else {})
    code = "import mixvision.settings, torch"
    shown = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    if "GOMP_SPINCOUNT" not in shown.stderr:
        pytest.skip("PyTorch was built with another OpenMP than GNU's")
    assert f"GOMP_SPINCOUNT = '{used}'" in shown.stderr
