"""Where settings are read from: ``conf/``, or the folder or archive that ``--conf-source`` names."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from kedro.config import OmegaConfigLoader
from kedro.framework.project import LOGGING
from kedro.utils import find_kedro_project
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mixvision.vocabulary import DOMAINS

UNKNOWN_GLOBAL = "it refers to globals in globals.yml itself; write ${name} there, without globals"


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

    def __getitem__(self, key: str) -> Any:
        """Kedro's, but an error names the file, or the setting in it, that cannot be read (raises ValueError)."""
        try:
            if key == "globals":
                self._refuse_empty()
                return self._with_own_title(super().__getitem__(key))
            return super().__getitem__(key)
        except (yaml.YAMLError, UnicodeDecodeError, OmegaConfBaseException, TypeError) as error:
            base, own = self.settings(self.base_env, key), self.texts(self.env or self.default_run_env, key)
            if isinstance(error, OmegaConfBaseException):
                what = str(error).partition("\n")[0]
                what = UNKNOWN_GLOBAL if "_globals" in what else what  # Kedro reads them while it makes them
                message = f"The setting {error.full_key} in {key}.yml of your environment cannot be read: {what}."
                raise ValueError(message) from error
            for file, settings in own.items():
                for name, value in _clashes(base, settings):
                    raise ValueError(f"{file} sets {name} to {value!r}, but it must be a mapping.") from error
            raise

    def _refuse_empty(self) -> None:
        """Refuse a setting without a value that is a mapping in conf/base: others refer to what is in it."""
        base = self.settings(self.base_env, "globals")
        for file, own in self.texts(self.env or self.default_run_env, "globals").items():
            for name, value in own.items():
                if value is None and isinstance(base.get(name), Mapping):
                    absent = f"; in a study without {name} images write {name}: {{source: null}}"
                    raise ValueError(
                        f"{file} leaves {name} empty, but it must be a mapping{absent if name in DOMAINS else ''}."
                    )

    def _with_own_title(self, settings: dict[str, Any]) -> dict[str, Any]:
        """A study that names itself but gives no title is headed by its name, and not by the title of the sample."""
        own = self.settings(self.env or self.default_run_env, "globals")
        if own.get("study") and not own.get("title"):
            return settings | {"title": title_of(str(own["study"]))}
        return settings

    def texts(self, env: str | None, key: str) -> dict[str, dict[str, Any]]:
        """What the files of an environment hold, by their names; raises ValueError for one that cannot be read."""
        conf = Path(self.conf_source).absolute()
        found = (file for pattern in self.config_patterns[key] for file in sorted((conf / str(env)).glob(pattern)))
        names = {file.relative_to(conf.parent).as_posix(): file for file in found if self._is_valid_config_path(file)}
        return {name: _settings_in(file, name) for name, file in names.items()}

    def settings(self, env: str | None, key: str) -> dict[str, Any]:
        """What the files of an environment hold together; raises ValueError for one that cannot be read."""
        return {name: value for of_file in self.texts(env, key).values() for name, value in of_file.items()}

    def file(self, name: str) -> str:
        """The full path of a file of the configuration: a run begins in one folder and works in the project's."""
        return (Path(self.conf_source).absolute() / name).as_posix()


def title_of(study: str) -> str:
    """The heading of a study's pages where none is given."""
    return study.replace("_", " ").capitalize()


def log_as_configured(conf: Path) -> None:
    """Log as ``logging.yml`` of this configuration says: Kedro looks for it in the current folder alone."""
    file = conf / "logging.yml"
    if file.exists() and not Path("conf/logging.yml").exists() and not os.environ.get("KEDRO_LOGGING_CONFIG"):
        LOGGING.configure(yaml.safe_load(file.read_text(encoding="utf-8")))


def project_folder() -> Path:
    """The project's folder, from any folder inside it. A packaged project works in the current folder."""
    return find_kedro_project(Path.cwd()) or Path.cwd()


def _settings_in(file: Path, name: str) -> dict[str, Any]:
    """What a file of the configuration holds; raises ValueError, with the file's name, if it cannot be read."""
    try:
        settings: Any = OmegaConf.to_container(OmegaConf.create(file.read_text(encoding="utf-8")))
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"{name}{line}: {error.problem}. Correct it there.") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} is no text in UTF-8: save it in this encoding.") from error
    if not isinstance(settings, dict):
        raise ValueError(f"{name} holds a list, but must hold settings with their names, such as study: mine.")
    return settings


def _clashes(base: Mapping[str, Any], own: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """The settings that are a mapping in the base and something else in an environment, by their dotted names."""
    for name, value in own.items():
        if isinstance(known := base.get(name), Mapping):
            if isinstance(value, Mapping):
                yield from _clashes(known, value, f"{before}{name}.")
            elif value is not None:
                yield f"{before}{name}", value


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
