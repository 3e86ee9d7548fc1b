"""What made a run: the code's commit, the machine, the packages and the images."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixvision.parameter_names import flat

if TYPE_CHECKING:
    import pandas as pd

PACKAGES = (
    "mixvision",
    "torch",
    "torchvision",
    "timm",
    "lightning",
    "scikit-learn",
    "numpy",
    "pandas",
    "kedro",
    "mlflow",
)
OPTIONS = {  # of kedro run, by the names that Kedro gives its hooks
    "env": "env",
    "pipeline_names": "pipelines",
    "node_names": "nodes",
    "from_nodes": "from-nodes",
    "to_nodes": "to-nodes",
    "from_inputs": "from-inputs",
    "to_outputs": "to-outputs",
    "tags": "tags",
    "namespaces": "namespaces",
}
CONTENT = ["id", "category", "status", "split", "square_sha256"]  # columns of the manifest that training depends on
DIGITS = 16  # of a digest; MLflow takes at most 36


def facts(project: Path) -> dict[str, str]:
    """Tags of a run, by name. What cannot be found out is left out."""
    found = {"commit": _commit(project), "machine": _machine(), "packages": _versions()}
    return {name: value for name, value in found.items() if value}


def command_of(run_params: Mapping[str, Any]) -> str:
    """The command that repeats a run; kedro-mlflow's own tag has no environment, and options that Kedro had before."""
    given = ((option, run_params.get(name) or []) for name, option in OPTIONS.items())
    words = [f"--{option}={value if isinstance(value, str) else ','.join(value)}" for option, value in given if value]
    if parameters := run_params.get("runtime_params"):
        words.append(f"--params={','.join(f'{name}={value}' for name, value in flat(parameters))}")
    words += ["--only-missing-outputs"] if run_params.get("only_missing_outputs") else []
    return shlex.join(["kedro", "run", *words])


def gpu() -> str:
    """The name of the GPU that PyTorch sees, or ""; PyTorch is not imported for this."""
    torch = sys.modules.get("torch")
    return str(torch.cuda.get_device_name()) if torch and torch.cuda.is_available() else ""


def digest_of(manifest: pd.DataFrame) -> str:
    """The same for the same images in the same splits, and hardly ever for others."""
    content = manifest[CONTENT].sort_values("id").to_csv(index=False)
    return hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=DIGITS // 2).hexdigest()


def counts_of(manifest: pd.DataFrame) -> dict[str, int]:
    """How many images are kept, in all and by split."""
    kept = manifest[manifest["status"] == "kept"]
    return {"images": len(kept), **kept["split"].value_counts().to_dict()}


def _commit(project: Path) -> str:
    """The commit of the project's code, with a word if files were changed since; "" without Git or a repository."""
    commit = _git(project, "rev-parse", "HEAD")
    changed = commit and _git(project, "status", "--porcelain", "--untracked-files=no")
    return f"{commit} and changes" if changed else commit


def _git(project: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(project), *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _machine() -> str:
    return f"{platform.system()} {platform.machine()}, {_processor()}, {os.cpu_count()} cores".replace(", ,", ",")


def _processor() -> str:
    """Its name, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _versions() -> str:
    found = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)
