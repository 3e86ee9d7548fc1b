"""Which module may import which: a module imports from its own layer and those below, never in a circle."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"
LAYERS = (  # from the ground up
    {"mixvision", "vocabulary", "schema", "parameter_names", "parameter_types"}  # the first has the version
    | {"suggestions", "addresses", "files", "progress"},
    {"images", "models", "transforms"},
    {"training", "evaluation", "reporting"},
    {"studies"},
    {"datasets", "pipelines"},
    {
        "catalog_names",
        "configuration",
        "hooks",
        "interruptions",
        "locks",
        "tracking",
        "cancellations",
        "memory_errors",
        "plain_errors",
        "provenance",
        "run_options",
    }
    | {"pipeline_registry", "settings", "cli", "__main__"},
)
NEVER = {("training", "reporting"), ("evaluation", "reporting")}
APART = {"studies", "pipelines"}  # whose folders do not import each other
FRAMEWORKS = {"kedro", "kedro_datasets", "kedro_mlflow", "kedro_viz", "mlflow"}


def read_imports() -> dict[str, set[str]]:
    """What each module imports: modules of ours by their whole names, others by the part before the first dot."""
    paths = {path.relative_to(SOURCE).with_suffix("").parts: path for path in SOURCE.rglob("*.py")}
    trees = {".".join(parts).removesuffix(".__init__"): ast.parse(path.read_text()) for parts, path in paths.items()}
    imports: dict[str, set[str]] = {}
    for module, tree in trees.items():
        names = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{module} has a relative import: use the full name."
                members = {f"{node.module}.{alias.name}" for alias in node.names}
                names |= {member if member in trees else node.module for member in members}
        imports[module] = {name if name in trees else name.partition(".")[0] for name in names}
    return imports


IMPORTS = read_imports()
OURS = [(module, name) for module, names in IMPORTS.items() for name in names if name in IMPORTS]


def part_of(module: str) -> str:
    """The name of the folder or file directly below the package that holds a module."""
    return module.split(".")[1] if "." in module else module


def layer_of(module: str) -> int:
    return next(number for number, parts in enumerate(LAYERS) if part_of(module) in parts)


def test_every_part_has_a_layer_and_every_named_part_exists():
    assert {part_of(module) for module in IMPORTS} == set().union(*LAYERS)


def test_imports_point_one_way():
    assert not [(module, name) for module, name in OURS if layer_of(module) < layer_of(name)]


def test_some_parts_never_import_others_of_their_layer():
    assert not [(module, name) for module, name in OURS if (part_of(module), part_of(name)) in NEVER]


def test_studies_do_not_import_each_other_nor_do_pipelines():
    inside = {module: tuple(module.split(".")[:3]) for module in IMPORTS}
    folders = {inside[module] for module in IMPORTS if part_of(module) in APART and module.count(".") > 2}
    siblings = [(module, name) for module, name in OURS if part_of(module) == part_of(name) and inside[name] in folders]
    assert not [(module, name) for module, name in siblings if inside[module] != inside[name]]


def test_only_the_top_layer_datasets_and_pipeline_wiring_import_kedro_and_mlflow():
    knowing = {module for module, names in IMPORTS.items() if names & FRAMEWORKS}
    ends = (".pipeline", ".wiring")
    wiring = {module for module in IMPORTS if part_of(module) == "pipelines" and module.endswith(ends)}
    assert {part_of(module) for module in knowing - wiring} <= LAYERS[-1] | {"datasets"}


def test_no_modules_import_each_other_in_a_circle():
    TopologicalSorter(IMPORTS).prepare()


def test_bars_are_made_by_progress_alone():
    """tqdm's own would fill log files."""
    assert [module for module, names in IMPORTS.items() if "tqdm" in names] == ["mixvision.progress"]
