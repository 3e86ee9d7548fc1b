"""The hooks treat each dataset by its role in the catalog."""

from __future__ import annotations

from pathlib import Path

import pytest
from kedro.io import DataCatalog, DatasetError, MemoryDataset
from kedro.pipeline import Node, Pipeline

from mixvision.configuration import ConfigLoader
from mixvision.datasets.images import ImageSourceDataset
from mixvision.hooks import RunSummary, SourceCheck, file_of, role
from mixvision.pipeline_registry import register_pipelines
from mixvision.settings import CONFIG_LOADER_ARGS
from mixvision.studies.transfer.trials import Transfer
from mixvision.training.config import Arithmetic, EpochTraining, Training

CONF = Path(__file__).parents[1] / "conf"
STUDIES = ("mixing", "leakage", "iterative", "alternatives", "baselines", "transfer")
ROLES = {
    "final_metrics": {
        *(f"{study}.metrics" for study in STUDIES),
        *("tuning.grid_scores", "tuning.adaptive_scores", "streams.arrivals"),
    },
    "models": {f"{study}.models" for study in STUDIES},
    "checkpoints": {f"{study}.checkpoints" for study in (*STUDIES, "tuning", "streams")},
    "page": {f"{study}.page" for study in (*STUDIES, "ingestion", "tuning", "streams", "conclusions")},
}


@pytest.fixture
def catalog(tmp_path, monkeypatch) -> DataCatalog:
    """The catalog of the sample study."""
    monkeypatch.chdir(tmp_path)
    return DataCatalog.from_config(ConfigLoader(str(CONF), **CONFIG_LOADER_ARGS)["catalog"])


def test_the_catalog_declares_the_roles(catalog):
    names = {name for pipeline in register_pipelines().values() for name in pipeline.datasets()}
    names = {name for name in names if not name.startswith("params:")}
    for wanted, having in ROLES.items():
        assert {name for name in names if role(catalog.get(name)) == wanted} == having
    assert role(catalog.get("mixing.summary")) == "summary"
    assert role(MemoryDataset()) is None and role(None) is None


@pytest.mark.parametrize("name", ["mixing.page", "transfer.table", "tuning.rates_figure", "mixing.nice_confusion"])
def test_file_of_is_the_catalogs_path(catalog, name):
    file = file_of(name, catalog)
    assert file.parts[:2] == ("data", "08_reporting") and file.stem in name


def test_the_time_of_a_node_counts_for_one_stage():
    """Also that of the ingestion's page, which has two of their tags."""
    summary = RunSummary()
    for tags in (["ingest", "report"], ["train"], ["check"]):
        node = Node(print, "a", None, name=tags[0], tags=tags)
        summary.before_node_run(node)
        summary.after_node_run(node)
    assert list(summary.seconds) == ["report", "train"]


def test_the_last_line_says_how_long_the_whole_run_took(capsys, monkeypatch):
    """Also what no node did: the table took 2 s, and loading and saving 70 s more."""
    node, summary = Node(print, "a", "b", name="draw", tags="report"), RunSummary()
    moments = iter([100.0, 110.0, 112.0, 172.0])
    monkeypatch.setattr("mixvision.hooks.time.monotonic", lambda: next(moments))
    summary.before_pipeline_run()
    summary.before_node_run(node)
    summary.after_node_run(node)
    summary.after_pipeline_run(Pipeline([node]), DataCatalog({"a": MemoryDataset(1), "b": MemoryDataset(2)}))
    assert (
        capsys.readouterr().out
        == "Time: report 2 s; 1 min 12 s from the first step to the last, with loading and saving.\n"
    )


def test_passwords_in_the_commands_addresses_are_hidden_before_they_are_recorded():
    given = {"nice": "https://me:secret@example.org/a.tar?token=hidden", "ingestion": {"splits": {"seed": 3}}}
    recorded = {"runtime_params": given, "env": "base"}
    SourceCheck().before_pipeline_run(recorded, Pipeline([]), DataCatalog())
    assert recorded == {
        "runtime_params": {"nice": "https://example.org/a.tar?...", "ingestion": {"splits": {"seed": 3}}},
        "env": "base",
    }
    assert given["nice"].startswith("https://me:secret@"), "the run itself needs them"


@pytest.mark.parametrize(
    ("pipeline", "begin", "missing"),
    [
        (
            "mixing",
            "mixing.train.choose_images",
            r"_primary/digits/manifest.parquet: run kedro run --pipelines=ingestion .* first",
        ),
        (
            "conclusions",
            "conclusions.judge_hypotheses",
            r"digits/(mixing|iterative)/.*: run kedro run --pipelines=(mixing|iterative)",
        ),
        ("submission", None, r"_reporting/digits/transfer/.*: run kedro run --pipelines=transfer .* first"),
    ],
)
def test_a_table_that_a_run_needs_and_nobody_has_written_is_named_before_it_does_anything(
    catalog, pipeline, begin, missing
):
    """A run that starts in the middle trained for hours before it missed a table of the report."""
    whole = register_pipelines()[pipeline]
    with pytest.raises(FileNotFoundError, match=f"There is no .*{missing}"):
        SourceCheck().before_pipeline_run({}, whole.from_nodes(begin) if begin else whole, catalog)


@pytest.fixture
def start(tmp_path, monkeypatch):
    """A function that checks a run of a pipeline from two sources as a run does before its first node."""
    monkeypatch.chdir(tmp_path)
    for name in ("catalogue", "field"):
        (tmp_path / name).mkdir()

    def start(name: str, nice: str | None = "catalogue", real: str | None = "field", *, layouts=(), given=()) -> None:
        pipeline = register_pipelines()[name]
        sources = {
            f"{domain}_source": ImageSourceDataset(
                domain=domain, source=source, filepath="unpacked", layout=dict(layouts).get(domain)
            )
            for domain, source in (("nice", nice), ("real", real))
        }
        others = {entry: MemoryDataset(dict(given).get(entry, {})) for entry in pipeline.inputs() - sources.keys()}
        SourceCheck().before_pipeline_run({}, pipeline, DataCatalog(sources | others))

    return start


@pytest.mark.parametrize("pipeline", ["mixing", "iterative", "tuning", "streams"])
def test_a_pipeline_that_needs_both_domains_refuses_a_study_of_one_before_it_decodes_anything(pipeline, start):
    with pytest.raises(ValueError, match=r"none of the domain 'nice': set nice.source"):
        start(pipeline, nice=None)


@pytest.mark.parametrize("pipeline", ["baselines", "transfer"])
def test_a_pipeline_that_needs_one_domain_takes_a_study_of_one(pipeline, start):
    start(pipeline, nice=None)


@pytest.mark.parametrize("other", ["catalogue/", "link", "field/../catalogue"])
def test_equal_sources_are_refused_before_they_are_decoded(other, start, tmp_path):
    (tmp_path / "link").symlink_to("catalogue")
    with pytest.raises(ValueError, match=r"nice.source and real.source are the same"):
        start("ingestion", real=other)


@pytest.mark.parametrize("above", ["catalogue", "catalogue/photos"])
def test_one_folder_may_hold_both_domains_in_folders_of_their_names(above, start, tmp_path):
    for name in ("Nice", "real"):
        (tmp_path / above / name).mkdir(parents=True)
    start("ingestion", real="catalogue")


def test_a_checksum_of_a_folder_and_one_that_is_none_are_refused(tmp_path):
    for sha256, complaint in (("abc", "nice.sha256 is 'abc', but a SHA-256"), ("0" * 64, "is a folder, which has no")):
        dataset = ImageSourceDataset(domain="nice", source=str(tmp_path), filepath="unpacked", sha256=sha256)
        with pytest.raises(DatasetError, match=complaint):
            dataset.check()


def test_one_folder_may_hold_both_domains_if_their_layouts_differ(start):
    start("ingestion", real="catalogue", layouts={"nice": "nice/{category}/*", "real": "real/{category}/*"})


@pytest.mark.parametrize(
    ("pipeline", "parameter", "value", "error"),
    [
        ("mixing", "params:mixing.training", Training(accelerator="gpu"), "PyTorch finds no GPU"),
        ("baselines", "params:baselines.training", EpochTraining(accelerator="gpu"), "PyTorch finds no GPU"),
        ("sanity_check", "params:sanity_check.arithmetic", Arithmetic("gpu"), "PyTorch finds no GPU"),
        ("transfer", "params:transfer.study", Transfer({"resnet18": "no/such.pth"}), r"no/such.pth does not exist"),
    ],
)
def test_what_the_machine_lacks_is_said_before_anything_is_decoded(
    pipeline, parameter, value, error, start, monkeypatch
):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises((ValueError, FileNotFoundError), match=error):
        start(pipeline, given={parameter: value})
