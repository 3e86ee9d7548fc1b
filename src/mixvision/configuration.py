"""Where settings are read from: ``conf/``, or the folder or archive that ``--conf-source`` names."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from kedro.config import OmegaConfigLoader
from kedro.utils import find_kedro_project
from omegaconf import OmegaConf


class ConfigLoader(OmegaConfigLoader):
    """Kedro's loader, with ``${conf:fruits/varieties.yml}`` for a file beside the settings. It unpacks archives."""

    def __init__(
        self,
        conf_source: str | Path,
        *arguments: Any,
        custom_resolvers: Mapping[str, Callable[..., Any]] | None = None,
        **options: Any,
    ) -> None:
        conf_source = Path(conf_source)
        if conf_source.is_file():
            self.unpacked = TemporaryDirectory(prefix="mixvision-conf-")  # removed with this loader
            conf_source = _unpack(conf_source, Path(self.unpacked.name))
        OmegaConf.clear_resolver("conf")  # that of an earlier loader in this process
        resolvers = {**(custom_resolvers or {}), "conf": self.file}
        super().__init__(str(conf_source), *arguments, custom_resolvers=resolvers, **options)

    def file(self, name: str) -> str:
        """The full path of a file of the configuration: a run begins in one folder and works in the project's."""
        return (Path(self.conf_source).absolute() / name).as_posix()


def project_folder() -> Path:
    """The project's folder, from any folder inside it. A packaged project works in the current folder."""
    return find_kedro_project(Path.cwd()) or Path.cwd()


def _unpack(archive: Path, folder: Path) -> Path:
    """Unpack an archive that ``kedro package`` made; returns the folder with the environments."""
    try:
        shutil.unpack_archive(archive, folder)
    except (shutil.ReadError, ValueError) as error:
        raise ValueError(
            f"The configuration {archive} cannot be read ({error}): give --conf-source a folder such as conf, or the "
            "archive that kedro package makes."
        ) from error
    inner = list(folder.iterdir())
    return inner[0] if len(inner) == 1 and inner[0].is_dir() and inner[0].name != "base" else folder
