"""What MLflow is told of a run besides its results."""

from __future__ import annotations

from click.testing import CliRunner
from kedro.framework.cli.project import run

from mixvision.tracking.facts import OPTIONS, command_of


def test_the_command_repeats_the_run():
    run_params = {
        "env": "my fruits",
        "pipeline_names": ["mixing", "leakage"],
        "tags": ("report",),
        "from_nodes": [],
        "runtime_params": {"mixing": {"training": {"iterations": 8}}, "nice": "a/b"},
        "only_missing_outputs": True,
    }
    assert command_of(run_params) == (
        "kedro run '--env=my fruits' --pipelines=mixing,leakage --tags=report "
        "--params=mixing.training.iterations=8,nice=a/b --only-missing-outputs"
    )
    assert command_of({"pipeline_names": None, "tags": ()}) == "kedro run"


def test_the_options_are_those_of_kedro():
    every = dict.fromkeys(OPTIONS, ("x",))
    options = [word.partition("=")[0] for word in command_of(every).split()[2:]]
    assert len(options) == len(OPTIONS)
    known = CliRunner().invoke(run, ["--help"]).output
    assert all(f"{option} " in known for option in options)
