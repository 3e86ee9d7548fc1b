"""Run the project as a package: ``python -m mixvision --pipelines=mixing``, or ``mixvision`` with the same options."""

import sys
from pathlib import Path
from typing import Any

from kedro.framework.cli.utils import find_run_command
from kedro.framework.project import configure_project


def main(*args: Any, **kwargs: Any) -> Any:
    """Run Kedro's command with these arguments. An interactive session goes on afterwards, with its result."""
    package_name = Path(__file__).parent.name
    configure_project(package_name)
    return find_run_command(package_name)(*args, **kwargs, standalone_mode=not hasattr(sys, "ps1"))


if __name__ == "__main__":
    main()
