"""Every pipeline reaches its last node in every environment of the project, or refuses before any training.

Only ingestion and the training engines are replaced by stand-ins: parameters, catalog and published numbers are the
environment's own.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from kedro.framework.context import KedroContext
from kedro.framework.hooks.manager import _NullPluginManager
from kedro.io import MemoryDataset
from kedro.pipeline import Node
from kedro.runner import SequentialRunner
from kedro.validation.type_extractor import TypeExtractor
from page_reader import Reader
from PIL import Image
from stand_in_engines import replace_engines
from stand_ins import CATEGORIES, IMAGE_SIZE, make_manifest

from mixvision.configuration import ConfigLoader
from mixvision.images.audit import audit_splits
from mixvision.images.store import ImageStore
from mixvision.models.imagenet import imagenet_classes
from mixvision.pipeline_registry import register_pipelines
from mixvision.schema.tables import MANIFEST
from mixvision.settings import CONFIG_LOADER_ARGS
from mixvision.vocabulary import DOMAINS

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parents[2]
ENVIRONMENTS = sorted(file.parent.name for file in PROJECT.glob("conf/*/globals.yml"))
PIPELINES = register_pipelines()
INGESTION = PIPELINES.pop("ingestion")
del PIPELINES["__default__"]
PIPELINES = {"transfer": PIPELINES.pop("transfer"), **PIPELINES}  # whose models the pipeline submission needs

PER_CATEGORY = 10
MIXING = ("mixing", "leakage", "iterative", "alternatives", "conclusions", "tuning", "tuned_mixing")
IMAGENET = ["n02085620-Chihuahua", "n02085782-Japanese_spaniel", "n02085936", "n02086079", "n02086240"]
NAMES = {
    "base": list("01234"),
    "berries": ["cherry", "strawberry", "tomato"],
    "dogs": IMAGENET,
    "flowers": ["daisy", "dandelion", "roses", "sunflowers", "tulips"],
    "tiny_imagenet": IMAGENET,
}
BRIEF = {"conclusions": {"claims": {"seeds": [0, 1, 2]}}}
BRIEF |= {"transfer": {"report": {"embedded_images": 30}}}
BRIEF |= {"sanity_check": {"models": ["linear"], "overfitting": {"images": 8}}}


class Environment:
    """One environment in a project folder, with stand-ins for the results of its ingestion."""

    def __init__(self, name: str, project: Path, called: list[str]) -> None:
        parameters = BRIEF | {"unlabelled": str(project / "unlabelled")}
        env = None if name == "base" else name
        self.config = ConfigLoader(str(project / "conf"), env=env, runtime_params=parameters, **CONFIG_LOADER_ARGS)
        context = KedroContext(project, self.config, env, "mixvision", _NullPluginManager(), parameters)
        self.name, self.catalog, self.called, self.finished = name, context.catalog, called, set[Node]()
        self.domains = [domain for domain in DOMAINS if self.config["globals"][domain]["source"]]
        self.test_only = self.catalog.load("params:ingestion.splits").test_only
        self.categories = NAMES.get(name, CATEGORIES)
        self._save_images()

    def _save_images(self) -> None:
        manifest = make_manifest(PER_CATEGORY)
        manifest["category"] = manifest["category"].map(dict(zip(CATEGORIES, self.categories, strict=False)))
        manifest = manifest[manifest["domain"].isin(self.domains)].dropna(subset="category").reset_index(drop=True)
        digests = [f"{row * 2654435761 % 2**32:08x}" for row in manifest.index]
        of_file = {
            "format": "PNG",
            "mode": "RGB",
            "width": 300,
            "height": 300,
            "square_sha256": "",
            "phash": 0,
            "assumed": "",
            "group": "",
            "published": "",
        }
        manifest = manifest.assign(sha256=digests, pixels_sha256=digests, cluster=manifest["component"], **of_file)
        manifest = manifest[MANIFEST.names]
        self.catalog.save("unsplit_manifest", manifest.assign(split=""))
        kept = manifest["status"] == "kept"
        manifest.loc[kept & (manifest["domain"] == self.test_only), "split"] = "test"
        self.catalog.save("manifest", manifest)
        self.catalog.save("split_audit", audit_splits(manifest))
        self.catalog.save("split_summary", pd.DataFrame({"finding": ["images"], "count": [kept.sum()], "detail": [""]}))
        generator = np.random.default_rng(0)
        for domain in DOMAINS:
            images = len(CATEGORIES) * PER_CATEGORY if domain in self.domains else 0
            pixels = generator.integers(0, 256, (images, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
            store = ImageStore(pd.DataFrame(), pixels, {}, pixels[:, :16, :16])
            self.catalog[f"{domain}_images"] = MemoryDataset(store, copy_mode="assign")

    def refusal(self, pipeline: str) -> str | None:
        """The start of the message with which a pipeline refuses this environment's images, if it does."""
        trained = set(self.domains) - {self.test_only}
        if (pipeline in MIXING and len(trained) < 2) or (pipeline == "streams" and len(self.domains) < 2):
            return "This pipeline needs images of both domains"
        if pipeline == "as_is" and not imagenet_classes(self.categories):
            return "None of the categories .* is one of ImageNet's thousand classes"
        return None

    def run(self, name: str) -> None:
        """Run all nodes that another pipeline has not run already, and all nodes after them."""
        pipeline = PIPELINES[name] - INGESTION
        pipeline = pipeline.from_nodes(*(node.name for node in pipeline.nodes if node not in self.finished))
        SequentialRunner().run(pipeline, self.catalog)
        self.finished.update(pipeline.nodes)


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(PROJECT / "conf", folder / "conf", ignore=shutil.ignore_patterns("local"))
    (folder / "conf" / "local").mkdir()
    (folder / "unlabelled").mkdir()
    Image.new("RGB", (40, 30), "red").save(folder / "unlabelled" / "one.png")
    return folder


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def environment(request, project):
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(project)  # paths of mappings and published numbers are relative to the project
        yield Environment(request.param, project, replace_engines(monkeypatch))


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_every_pipeline_reaches_its_end_or_refuses_at_once(environment, pipeline):
    if pipeline == "submission":  # it uses networks of transfer, whose test another process may have run
        environment.run("transfer")
    environment.called.clear()
    if sentence := environment.refusal(pipeline):
        with pytest.raises(ValueError, match=sentence):
            environment.run(pipeline)
        assert not environment.called
        return
    environment.run(pipeline)
    left = sorted((PIPELINES[pipeline] - INGESTION).outputs())
    assert left and all(environment.catalog.exists(name) for name in left)
    for page in (environment.catalog.load(name) for name in left if name.endswith(".page")):
        assert Reader(page).title.startswith(environment.config["globals"]["title"])


def test_kedro_understands_the_types_of_all_parameters(caplog):
    """It warns of a union such as ``str | int`` whenever a command reads the parameters."""
    assert TypeExtractor(PIPELINES).extract_types_from_pipelines()
    assert not caplog.records
