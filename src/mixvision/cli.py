"""The project's own commands.

``kedro study`` makes an environment for your own images, of one domain or both. ``kedro run`` is Kedro's, but an error
ends in one sentence.
"""

from __future__ import annotations

import json
import re
import sys
import traceback
from copy import copy
from pathlib import Path
from types import TracebackType
from typing import Any

import click
from kedro.framework.cli import project

from mixvision.configuration import project_folder, title_of

LISTS = " A list of several values belongs in a file: parameters.yml of your environment, or one for --config."
IMAGE_SIZE = "Side length that images are scaled to, in pixels; mixing needs 16 or more."
ITERATIONS = "Training steps; only for a study of both domains."
EXAMPLES = "a folder with one folder of images per category, an archive, a URL or package:mnist"
TAKEN = ("base", "local", "digits")  # Kedro's environments, and the bundled sample
STOPPED = "\nStopped. Run the same command again: it goes on from the last checkpoint and keeps what is done."
ENVIRONMENT = """\
study: {name}
title: {title}
nice: {{source: {nice}}}
real: {{source: {real}}}
image_size: {image_size}
"""


@click.group()
def cli() -> None:
    """Mixvision's commands, in addition to Kedro's."""


@cli.command()
@click.argument("name")
@click.option("--nice", help="Clean images: folder of categories, archive or URL.")
@click.option("--real", help="Real photos, with --nice of the same categories: folder, archive or URL.")
@click.option("--image-size", type=click.IntRange(8, 1024), default=64, show_default=True, help=IMAGE_SIZE)
@click.option("--iterations", type=click.IntRange(min=1), default=1000, show_default=True, help=ITERATIONS)
def study(name: str, nice: str | None, real: str | None, image_size: int, iterations: int) -> None:
    """Make the environment conf/NAME for your own images: nice ones, real ones, or both."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in TAKEN:
        raise click.BadParameter(
            f"{name!r} cannot name the study's folders in conf/ and data/: start with a lowercase letter, use only "
            f"lowercase letters, digits and _, and avoid {', '.join(TAKEN)}.",
            param_hint="NAME",
        )
    if nice is None and real is None:
        raise click.UsageError("No images are given: use --nice, --real or both.")
    file = project_folder() / "conf" / name / "globals.yml"
    if file.exists():
        raise click.ClickException(f"{_shown(file)} already exists: edit it, or choose another name.")
    from mixvision.images.acquisition import may_serve_both

    texts = {"title": title_of(name), "nice": _find("nice", nice), "real": _find("real", real)}
    if texts["nice"] is not None and texts["nice"] == texts["real"] and not may_serve_both(texts["nice"]):
        raise click.UsageError("--nice and --real are the same: give each its own images, or only one of them.")
    file.parent.mkdir(parents=True, exist_ok=True)
    quoted = {key: json.dumps(text, ensure_ascii=False) for key, text in {"name": name, **texts}.items()}
    environment = ENVIRONMENT.format(image_size=image_size, **quoted)
    if nice is not None and real is not None:  # the baselines train by epochs
        environment += f"iterations: {iterations}\n"
    file.write_text(environment, encoding="utf-8")
    click.echo(f"Wrote {_shown(file)}. Look at your images first, then train:")
    kedro = sys.argv[0] if Path(sys.argv[0]).name == "kedro" else "kedro"  # as the user called it
    click.echo(f"  {kedro} run --env={name} --pipelines=ingestion")
    pipeline = "baselines" if nice is None or real is None else "mixing"
    click.echo(f"  {kedro} run --env={name} --pipelines={pipeline}")


class Run(click.Command):
    """Kedro's command; also an option that cannot be read ends in one sentence.

    A file for ``--config`` is read by Kedro under the command's name, which a packaged project does not have, and its
    lists as single words.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        (config,) = (option for option in self.params if option.name == "config")
        read = config.callback

        def read_section(context: click.Context, option: click.Parameter, value: Any) -> Any:
            name, context.info_name = context.info_name, "run"
            value = read(context, option, value) if read else value
            context.info_name = name
            given = context.default_map or {}
            joined = {key: ",".join(map(str, words)) for key, words in given.items() if isinstance(words, list)}
            context.default_map = {**given, **joined}
            return value

        config.callback = read_section

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(context, args)
        except click.ClickException as error:
            hint = LISTS if "must contain a key" in error.message and "]" in error.message else ""
            if isinstance(error, click.UsageError) and not hint:
                raise
            raise click.UsageError(f"{error.message.rstrip('.')}.{hint}", context) from error


@cli.command(
    cls=Run,
    params=[copy(option) for option in project.run.params],
    help="Run a pipeline. An error ends in one sentence.",
)
@click.option("--verbose", "-v", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def run(context: click.Context, verbose: bool, **options: Any) -> Any:
    """Run Kedro's command; an error ends in one sentence, and its traceback goes to a file."""
    from mixvision.parameter_names import declared
    from mixvision.plain_errors import FAULT, is_of_kedro, is_programming_error, sentence_of, write_traceback
    from mixvision.run_options import require_pipelines, unknown_name

    try:
        require_pipelines(options)
        return context.invoke(project.run, **options)
    except click.ClickException:
        raise
    except (KeyboardInterrupt, SystemExit):  # Ctrl-C and SIGTERM
        click.echo(STOPPED, err=True)
        raise
    except Exception as error:
        if verbose:
            sys.excepthook = USUAL_HOOK
            raise
        file = write_traceback(error, project_folder() / "logs")
        if file:
            click.echo(f"\nThe traceback is in {_shown(file)}; kedro run --verbose shows it.", err=True)
        else:  # such as on a full disk
            click.echo("".join(traceback.format_exception(error)), err=True)
        if is_programming_error(error):
            click.echo(FAULT, err=True)
        sentence = unknown_name(options) if is_of_kedro(error) else ""
        base = Path(options["conf_source"] or project_folder() / "conf") / "base"
        sentence = sentence or sentence_of(error, declared(base, ["**/parameters*"]))
        click.secho(f"Error: {sentence}", fg="red", err=True)
        context.exit(1)


def end_in_a_sentence(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Of other commands, such as ``kedro mlflow ui``: an error that Mixvision raised on purpose needs no traceback."""
    from mixvision.plain_errors import is_ours, sentence_of

    if isinstance(error, Exception) and is_ours(error):
        click.secho(f"Error: {sentence_of(error)}", fg="red", err=True)
    else:
        USUAL_HOOK(kind, error, trace)


USUAL_HOOK, sys.excepthook = sys.excepthook, end_in_a_sentence


def _find(domain: str, source: str | None) -> str | None:
    """A source as the settings name it: outside the project by its full path; URLs, packages and None unchanged."""
    if source is None or re.match(r"\w+://|package:", source):
        return source
    path = Path(source).expanduser()
    if not source or not path.exists():
        raise click.BadParameter(f"{source!r} does not exist: give {EXAMPLES}.", param_hint=f"--{domain}")
    path, project = path.resolve(), project_folder()
    inside = path.is_relative_to(project)
    return (path.relative_to(project) if inside else path).as_posix()


def _shown(file: Path) -> Path:
    return file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
