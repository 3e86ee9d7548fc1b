"""Commands import only what they need."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys

import pytest

import mixvision

pytestmark = pytest.mark.slow

# What one fresh Python does; after each stage it prints what it has loaded.
STAGES = {
    "kedro": "import kedro.framework.context, kedro.framework.hooks, kedro.io, kedro.pipeline",
    "registry": "import mixvision.settings, mixvision.pipeline_registry as r; pipelines = r.register_pipelines()",
    "ingestion": "pipelines['ingestion'].nodes",
    "mixing": "pipelines['mixing'].nodes",
}
OURS = {
    "mixvision",
    "mixvision.addresses",
    "mixvision.cancellations",
    "mixvision.catalog_names",
    "mixvision.configuration",
    "mixvision.files",
    "mixvision.hooks",
    "mixvision.interruptions",
    "mixvision.locks",
    "mixvision.memory_errors",
    "mixvision.provenance",
    "mixvision.pipeline_registry",
    "mixvision.parameter_names",
    "mixvision.settings",
    "mixvision.suggestions",
    "mixvision.tracking",
    "mixvision.tracking.answers",
    "mixvision.tracking.database",
    "mixvision.tracking.endings",
    "mixvision.tracking.facts",
    "mixvision.tracking.failures",
    "mixvision.tracking.hooks",
    "mixvision.tracking.journal",
    "mixvision.tracking.names",
    "mixvision.tracking.runs",
    "mixvision.tracking.sender",
    "mixvision.tracking.settings",
    "mixvision.tracking.starts",
    "mixvision.tracking.tracked",
    "mixvision.tracking.view",
    "mixvision.training",
    "mixvision.training.events",
    "mixvision.vocabulary",
}


@pytest.fixture(scope="module")
def fresh() -> subprocess.CompletedProcess:
    """A Python that went through the stages. OpenMP prints its settings when a library loads it."""
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    code = "\n".join(["import sys", *(f"{stage}\nprint(*sys.modules)" for stage in STAGES.values())])
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment | {"OMP_DISPLAY_ENV": "verbose"},
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.fixture(scope="module")
def loaded(fresh) -> dict[str, set[str]]:
    """The modules outside the standard library that are loaded after each stage."""
    return {
        stage: {module for module in line.split() if module.partition(".")[0] not in sys.stdlib_module_names}
        for stage, line in zip(STAGES, fresh.stdout.splitlines(), strict=True)
    }


def test_listing_the_pipelines_imports_no_libraries(loaded):
    extra = loaded["registry"] - loaded["kedro"]
    assert {module for module in extra if module.startswith("mixvision")} == OURS
    assert {module.partition(".")[0] for module in extra} == {"mixvision"}


@pytest.mark.parametrize(
    ("pipeline", "absent"),
    [
        ("mixing", {"timm", "captum", "optuna", "mlflow"}),
        ("ingestion", {"torch", "timm", "captum", "optuna", "mlflow", "lightning", "plotly"}),
    ],
)
def test_a_pipeline_imports_only_what_it_uses(loaded, pipeline, absent):
    packages = {module.partition(".")[0] for module in loaded[pipeline]}
    assert {"pandas", "faiss"} <= packages and not packages & absent


def test_threads_that_wait_go_to_sleep_soon(fresh, loaded):
    assert "torch" in loaded["mixing"]
    shown = re.findall(r"GOMP_SPINCOUNT = '(\d+)'", fresh.stderr)
    if not shown:
        pytest.skip("PyTorch was built with another OpenMP than GNU's")
    assert set(shown) == {"2000"}


def test_how_long_threads_wait_is_the_users_to_say(monkeypatch):
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    runpy.run_path(mixvision.__file__)
    assert os.environ["GOMP_SPINCOUNT"] == "7"
