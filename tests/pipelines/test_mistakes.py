"""Mistakes that people make: the last line names the thing, what is wrong and what to do; nothing is left half done."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import mlflow
import pytest
import yaml
from click.testing import CliRunner

from mixvision.cli import cli

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parents[2]
SMALL = {"image_size": 16, "nice": {"source": "nice"}, "real": {"source": "real"}}


@pytest.fixture(scope="module")
def make_mistake(tmp_path_factory, few_digits) -> Iterator[Callable[..., str]]:
    """A function that runs a command with settings and parameters, all wrong, and returns the last line it prints."""
    project = tmp_path_factory.mktemp("mistakes")
    shutil.copytree(PROJECT / "conf", project / "conf", ignore=shutil.ignore_patterns("local"))
    shutil.copy(PROJECT / "pyproject.toml", project)
    (project / "src").mkdir()
    (project / "empty").mkdir()
    for domain in ("nice", "real"):
        shutil.copytree(few_digits[domain]["source"], project / domain)
    local = project / "conf" / "local"
    local.mkdir()
    databases = (project / f"{number}.db" for number in count())

    def run(arguments: list[str], settings: dict | None, parameters: dict | None) -> str:
        database = next(databases)
        tracking = {"server": {"mlflow_tracking_uri": f"sqlite:///{database}"}}
        (local / "mlflow.yml").write_text(yaml.safe_dump(tracking))
        (local / "globals.yml").write_text(yaml.safe_dump(settings or {}))
        (local / "parameters.yml").write_text(yaml.safe_dump(parameters or {}))
        result = CliRunner().invoke(cli, arguments)
        while mlflow.active_run():
            mlflow.end_run()
        assert result.exit_code in (1, 2) and isinstance(result.exception, SystemExit)
        left = [path for path in project.glob("data/**/*") if path.is_file() and path.parent.name != ".locks"]
        assert not left, "nothing is left half done"
        if database.exists():  # else MLflow was not set up, as the run was refused
            with closing(sqlite3.connect(database)) as connection:
                assert connection.execute("SELECT status FROM runs").fetchall() == [("FAILED",)]
        return result.output.strip().splitlines()[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        yield run


TRIAN = "no node 'mixing.train.trian_models' .* did you mean mixing.train.train_models"
RUN = {  # of kedro run: arguments, global settings and parameters, and what the last line says
    "pipeline": (["--pipelines=mixin"], {}, {}, "no pipeline 'mixin': did you mean mixing"),
    "node": (["--nodes=mixing.train.trian_models"], {}, {}, TRIAN),
    "first node": (["--from-nodes=mixing.train.trian_models"], {}, {}, TRIAN),
    "last output": (
        ["--to-outputs=mixing.summery"],
        {},
        {},
        "no dataset 'mixing.summery' .* did you mean mixing.summary",
    ),
    "tag": (["--tags=trian"], {}, {}, "no tag 'trian' .* did you mean train"),
    "namespace": (["--namespaces=mixin"], {}, {}, "no namespace 'mixin' .* did you mean mixing"),
    "runner": (["--runner=ThredRunner"], {}, {}, "no runner 'ThredRunner': did you mean ThreadRunner"),
    "version": (["--load-versions=foo"], {}, {}, "Expected the form of 'load_versions' to be 'dataset_name:"),
    "list": (["--params=mixing.mixtures.ratios=[0,50]"], {}, {}, "A list of several values belongs in a file"),
    "source of a source": (["--params=nice.source=nice"], {}, {}, "give --params=nice=<folder"),
    "option": (["--pipeline_name=mixing"], {}, {}, "No such option"),
    "study": (["--env=fruit"], {}, {}, r"no study 'fruit' in .* \(there are .*fruits.*\): correct --env"),
    "value without a name": (["--params=mixing.training"], {}, {}, "must contain a key and a value separated by"),
    "parameter": (["--params=mixing.training.iteration=5"], {}, {}, "did you mean mixing.training.iterations"),
    "group of parameters": (["--params=ingestion.split.test=0.2"], {}, {}, "did you mean ingestion.splits"),
    "top of parameters": (["--params=mixin.training.iterations=5"], {}, {}, "no parameter mixin: did you mean mixing"),
    "without its place": (["--params=iterations=5"], {}, {}, "cannot change iterations, .* set it in globals.yml"),
    "inner name": (
        [],
        SMALL,
        {"ingestion": {"splits": {"tset": 0.2}}},
        "In ingestion.splits: there is no 'tset': did you mean .*test",
    ),
    "name of a neighbour": (
        ["--pipelines=streams", "--params=streams.training.seed=3"],
        SMALL,
        {},
        "In streams.training: there is no 'seed': did you mean streams.learning.seed",
    ),
    "word for a number": ([], SMALL, {"mixing": {"training": {"iterations": "ten"}}}, "iterations is 'ten'; give"),
    "number for a list": ([], SMALL, {"mixing": {"mixtures": {"ratios": 50}}}, "ratios is 50; give a list"),
    "out of range": (
        [],
        SMALL,
        {"mixing": {"mixtures": {"ratios": [0, 200]}}},
        r"ratios is \[0, 200\]; each is a share .* from 0 to 100",
    ),
    "negative": ([], SMALL, {"mixing": {"training": {"evaluate_every": -1}}}, "evaluate_every is -1; give"),
    "no share": ([], SMALL, {"ingestion": {"splits": {"test": 1.5}}}, "test is 1.5, but must be a share"),
    "shares": (
        [],
        SMALL,
        {"ingestion": {"splits": {"test": 0.6, "validation": 0.5}}},
        "validation is 0.5, but must be below 1 - test",
    ),
    "method": ([], SMALL, {"ingestion": {"splits": {"method": "random"}}}, "method is 'random'; choose one of grouped"),
    "device": (
        [],
        SMALL,
        {"mixing": {"training": {"accelerator": "tpu"}}},
        "'tpu'; did you mean 'gpu'\\? Choose one of auto,",
    ),
    "old name": ([], SMALL, {"mixing": {"mixtures": {"thin": True}}}, "mixing.mixtures.thin is now called balance"),
    "global setting": ([], SMALL | {"image_sise": 32}, {}, "no global setting image_sise: did you mean image_size"),
    "parameter among the settings": (
        [],
        SMALL | {"ingestion": {}},
        {},
        "ingestion is set in the wrong file: move it to par",
    ),
    "setting among the parameters": (
        [],
        SMALL,
        {"iterations": 5},
        "iterations is set in the wrong file: move it to glob",
    ),
    "key of a source": ([], SMALL | {"nice": {"sorce": "nice"}}, {}, "no global setting nice.sorce: did you mean"),
    "no mapping": ([], SMALL | {"nice": "nice"}, {}, "setting nice is 'nice', but must be a mapping of some of source"),
    "nothing": (
        [],
        SMALL | {"real": None},
        {},
        "leaves real empty, .* a study without real images write real: {source: nu",
    ),
    "list of sources": (
        [],
        SMALL | {"nice": {"source": ["nice"]}},
        {},
        r"nice.source is \['nice'\]; give one folder, archive, URL or sample.$",
    ),
    "mapping without a file": (
        [],
        SMALL | {"nice": {"source": "nice", "mapping": {"0": "zero"}}},
        {},
        "nice.mapping is {'0': 'zero'}; give the path of a YAML file .* names of its folders.$",
    ),
    "no size": (
        [],
        SMALL | {"image_size": "big"},
        {},
        "size is 'big': set image_size in globals.yml to a whole number",
    ),
    "small size": (
        [],
        SMALL | {"image_size": 4},
        {},
        "size is 4 pixels, but must be 8 to 1024: set image_size in globals",
    ),
    "no folder": (
        [],
        SMALL | {"nice": {"source": "nowhere"}},
        {},
        "'nowhere', does not exist: looked for .* give another",
    ),
    "empty folder": (
        [],
        SMALL | {"nice": {"source": "empty"}},
        {},
        "source of 'nice' images, empty, has no files .* put",
    ),
    "folder too deep": (
        [],
        SMALL | {"nice": {"source": "nice/0"}},
        {},
        "nice/0, has no files that fit .* put images in",
    ),
    "no images at all": (
        [],
        SMALL | {"nice": {"source": None}, "real": {"source": None}},
        {},
        "has no images: set nice",
    ),
    "rule without a group": ([], SMALL | {"nice": {"source": "nice", "group": {"pattern": "x"}}}, {}, "group"),
    "not ingested": (["--from-nodes=mixing.train.choose_images"], SMALL, {}, "no .*manifest.parquet: run kedro run"),
    "not transferred": (["--pipelines=submission"], SMALL, {}, "no .*transfer.*: run kedro run --pipelines=transfer"),
    "network": (
        ["--pipelines=transfer"],
        SMALL,
        {"transfer": {"study": {"backbones": {"resnt18": "random"}}}},
        "mean resnet18",
    ),
    "head": (
        ["--pipelines=transfer"],
        SMALL,
        {"transfer": {"study": {"heads": ["liner"]}}},
        r"heads is \['liner'\]; give",
    ),
    "model": (
        ["--pipelines=baselines"],
        SMALL,
        {"baselines": {"study": {"models": ["cnnn"]}}},
        r"\['cnnn'\]; give one or more",
    ),
}
STUDY = {  # arguments of kedro study, and what the last line says
    "no images": (["weeds"], "No images are given: use --nice, --real or both"),
    "no folder": (["weeds", "--nice=nowhere"], "--nice: 'nowhere' does not exist"),
    "odd name": (["My study", "--nice=nice"], "NAME: 'My study' cannot name .*: start with a lowercase letter"),
    "known name": (
        ["fruits", "--nice=nice"],
        "conf/fruits/globals.yml already exists: edit it, or choose another name",
    ),
}


@pytest.mark.parametrize("mistake", RUN)
def test_mistakes_in_kedro_run(make_mistake, mistake):
    arguments, settings, parameters, words = RUN[mistake]
    last = make_mistake(["run", *arguments], settings, parameters)
    assert re.match(f"Error: .*{words}", last), last


@pytest.mark.parametrize("mistake", STUDY)
def test_mistakes_in_kedro_study(make_mistake, mistake):
    arguments, words = STUDY[mistake]
    last = make_mistake(["study", *arguments], None, None)
    assert re.match(f"Error: .*{words}", last), last
