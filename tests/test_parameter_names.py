"""Old parameter names are refused with their new ones, unknown names with the nearest or all known ones."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from kedro.config import OmegaConfigLoader

from mixvision.configuration import ConfigLoader
from mixvision.hooks import ParameterNames
from mixvision.parameter_names import (
    NEW_NAMES,
    declared,
    names_of_runtime_params,
    refuse_fixed_globals,
    refuse_misplaced,
    refuse_old_names,
    refuse_unknown_names,
    require_mappings,
    unread_names,
    what_was_meant,
)
from mixvision.settings import CONFIG_LOADER_ARGS
from mixvision.training.fine_tuning.config import FineTuning, Phase
from mixvision.training.mixtures import Mixtures

PHASE = {"unfrozen": 2, "epochs": 1, "learning_rate": 0.1}


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"mixing": {"mixtures": {"thin": False}}}, "mixing.mixtures.thin is now called balance"),
        ({"sanity_check": {"memorising": {}}}, "sanity_check.memorising is now called overfitting"),
        (
            {"transfer": {"study": {"fine_tunings": [{"name": "one"}, {"phases": [PHASE]}]}}},
            "transfer.study.fine_tunings.1.phases.0.unfrozen is now called trainable_blocks",
        ),
        (
            {"transfer": {"study": {"fine_tunings": [{"average": None}]}}},
            "transfer.study.fine_tunings.0.average is now called ema_decay",
        ),
        (
            {"mixing": {"report": {"bootstrap_draws": 500}}},
            "There is no parameter mixing.report.bootstrap_draws any more, as intervals are computed, and no longer "
            "drawn: remove it where you set it.",
        ),
    ],
)
def test_an_old_name_is_refused_with_the_new_one(parameters, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        refuse_old_names(parameters)


def test_old_names_are_free_for_other_parameters():
    refuse_old_names({"mixing": {"mixtures": {"ratios": [0]}, "thin": 1}, "transfer": {"study": None}, "average": 3})


def test_every_new_name_is_a_parameter():
    known = {field.name for settings in (FineTuning, Phase, Mixtures) for field in fields(settings)}
    assert set(NEW_NAMES.values()) <= known | {"overfitting"}
    assert not {path.split(".")[-1] for path in NEW_NAMES} & known


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"mixin": {}}, "no parameter mixin: did you mean mixing?"),
        ({"mixing": {"trainings": {}}}, "no parameter mixing.trainings: did you mean mixing.training?"),
        (
            {"mixing": {"accelerator": "cpu"}},
            "no parameter mixing.accelerator: use one of mixing.mixtures, mixing.training.",
        ),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(parameters, sentence):
    known = {"mixing": {"mixtures": {}, "training": {}}, "nice": {"source": None}, "title": "Digits"}
    refuse_unknown_names({"mixing": {"training": {"more": 1}}, "nice": "photos", "title": "Weeds"}, known)
    with pytest.raises(ValueError, match=re.escape(sentence)):
        refuse_unknown_names(parameters, known)


def test_a_deeper_name_is_refused_if_it_is_nearly_a_known_one():
    known = {"mixing": {"training": {"iterations": 200}}, "transfer": {"study": {"backbones": {"resnet50": None}}}}
    with pytest.raises(ValueError, match=r"no parameter mixing\.training\.iteration: did you mean .*\.iterations\?"):
        refuse_unknown_names({"mixing": {"training": {"iteration": 5}}}, known)
    refuse_unknown_names({"transfer": {"study": {"backbones": {"resnet5": None}, "seed": 1}}}, known)


@pytest.mark.parametrize(
    ("section", "name", "hint"),
    [
        ("streams.training", "seed", "did you mean streams.learning.seed?"),
        ("streams.training", "iteration", "did you mean streams.training.iterations?"),
        ("streams.learning", "iteratons", "use one of streams.learning.seed, streams.learning.steps."),
        ("streams.learning", "stesp", "did you mean streams.learning.steps?"),
        ("streams.training", "steps", "did you mean streams.learning.steps?"),
        ("streams", "trainings", "did you mean streams.training?"),
        ("elsewhere.training", "seed", ""),
        ("streams.training.iterations", "seed", ""),
    ],
)
def test_an_unknown_name_in_a_section_may_be_that_of_a_neighbouring_one(section, name, hint):
    known = {"streams": {"learning": {"seed": 0, "steps": 5}, "training": {"iterations": 200}, "title": "Digits"}}
    assert what_was_meant(section, name, known) == hint


def test_a_global_setting_that_params_cannot_change_is_refused():
    settings = {"iterations": 200, "nice": {"source": "mnist"}, "mixing": 1}
    refuse_fixed_globals({"nice": "photos", "mixing": {}, "other": 1}, settings, {"nice", "mixing"})
    with pytest.raises(ValueError, match=r"--params cannot change iterations, .* globals\.yml"):
        refuse_fixed_globals({"iterations": 5}, settings, {"nice", "mixing"})
    with pytest.raises(ValueError, match=r"cannot change iteratons; do you mean iterations\? That is a global setting"):
        refuse_fixed_globals({"iteratons": 5}, settings, {"nice", "mixing", "iterative"})
    refuse_fixed_globals({"iterativ": 5}, settings, {"nice", "iterative"})  # a parameter is meant


def test_a_name_in_the_wrong_file_is_sent_to_the_right_one():
    refuse_misplaced({"nice": {}}, {"nice"}, {"ingestion"}, "parameters.yml")
    with pytest.raises(ValueError, match=r"^ingestion is set in the wrong file: move it to parameters\.yml"):
        refuse_misplaced({"ingestion": {}}, {"nice"}, {"ingestion"}, "parameters.yml")


def test_declared_names_and_those_of_runtime_params_are_read_from_files_and_folders(tmp_path):
    (tmp_path / "parameters_one.yml").write_text("one: {source: '${runtime_params:nice,${globals:nice}}'}")
    (tmp_path / "parameters").mkdir()
    (tmp_path / "parameters/two.yaml").write_text("two: 2")
    (tmp_path / "parameters/notes.txt").write_text("three: 3")
    patterns = ["parameters*"]
    assert set(declared(tmp_path, patterns)) == {"one", "two"}
    assert names_of_runtime_params(tmp_path, patterns) == {"nice"}


def test_the_settings_of_a_source_are_known_and_a_misspelled_group_is_not_ignored():
    conf = Path(__file__).parents[1] / "conf"
    known = declared(conf / "base", ["globals*"])
    for file in conf.glob("*/globals.yml"):
        if file.parent.name != "local":
            refuse_unknown_names(yaml.safe_load(file.read_text(encoding="utf-8")), known, "global setting")
    with pytest.raises(ValueError, match=r"There is no global setting nice\.groups: did you mean nice\.group\?"):
        refuse_unknown_names({"nice": {"source": "photos", "groups": "fruits-360"}}, known, "global setting")
    refuse_unknown_names({"nice": {"group": {"pattern": "(?P<group>x)"}}}, known, "global setting")


def test_an_unknown_study_is_refused_with_the_known_ones(tmp_path):
    """Kedro itself would run the bundled sample."""
    for folder in ("base", "weeds", "local", "notes"):
        (tmp_path / folder).mkdir()
    (tmp_path / "weeds" / "globals.yml").write_text("study: weeds")
    (tmp_path / "notes" / "params.yml").write_text("mixing: {}")

    def loader(env: str | None) -> OmegaConfigLoader:
        return OmegaConfigLoader(str(tmp_path), env=env, base_env="base", default_run_env="local")

    for env in (None, "weeds", "base", "local"):
        ParameterNames.require_environment(loader(env))
    with pytest.raises(ValueError, match=r"There is no study 'wedes' in .* \(there are weeds\).*make study NAME=wedes"):
        ParameterNames.require_environment(loader("wedes"))
    with pytest.raises(ValueError, match=r"There is no study 'notes'"):
        ParameterNames.require_environment(loader("notes"))
    (tmp_path / "base").rmdir()
    with pytest.raises(ValueError, match=r"There is no configuration in .*: .* by --conf-source"):
        ParameterNames.require_environment(loader(None))


@pytest.mark.parametrize("value", ["photos", ["a"], 3])
def test_what_must_be_a_mapping_is_named(value):
    with pytest.raises(
        ValueError, match=r"^The global setting nice is .*, but must be a mapping of some of source, group\.$"
    ):
        require_mappings({"nice": value}, {"nice": {"source": None, "group": None}})
    require_mappings({"nice": None, "seed": 3}, {"nice": {"source": None}, "seed": 0})


def test_a_number_in_the_place_of_a_pipelines_parameters_is_named():
    with pytest.raises(ValueError, match=r"^The parameter mixing is 3, but must be a mapping of some of mixtures\.$"):
        require_mappings({"mixing": 3}, {"mixing": {"mixtures": {}}}, "parameter")


def test_parameters_of_the_command_that_nothing_reads_are_named():
    read = ["mixing.training", "ingestion.splits", "streams.report.title"]
    given = {
        "mixing": {"training": {"iterations": 3}, "mixtures": {"ratios": [0, 100]}},
        "tuning": {"grid": {"factors": []}},
        "streams": {"report": {}},
        "ingestion": 3,
    }
    assert unread_names(given, read) == ["mixing.mixtures.ratios", "tuning.grid.factors"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("global.yml", "globals.yml"),
        ("parameter.yaml", "parameters.yml"),
        ("catalg.yml", "catalog.yml"),
        ("parameter_mixing.yml", "parameters_mixing.yml"),
    ],
)
def test_a_misspelt_file_of_an_environment_is_not_ignored(tmp_path, name, meant):
    (tmp_path / "base").mkdir()
    for allowed in ("globals.yml", "parameters_mixing.yml", "published.yml", "varieties.yml"):
        (tmp_path / "weeds").mkdir(exist_ok=True)
        (tmp_path / "weeds" / allowed).touch()
    loader = OmegaConfigLoader(str(tmp_path), env="weeds", base_env="base", default_run_env="local")
    ParameterNames.require_environment(loader)
    (tmp_path / "weeds" / name).touch()
    with pytest.raises(ValueError, match=f"weeds/{name} is read by nobody: rename it to {meant}"):
        ParameterNames.require_environment(loader)


def test_two_environments_with_different_images_do_not_share_a_study(tmp_path):
    """The results of one would replace the other's."""
    texts = {
        "base": "study: digits\nnice: {source: sample}",
        "weeds": "study: weeds\nnice: {source: photos}",
        "same": "study: weeds\nnice: {source: photos}\niterations: 5",
        "other": "study: weeds\nnice: {source: more photos}",
        "nameless": "nice: {source: photos}",
        "sample": "study: digits\nnice: {source: photos}",
        "longer": "iterations: 900",
        "local": "nice: {source: photos}",
        "broken": "study: [",
    }
    for name, text in texts.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "globals.yml").write_text(text)

    def require(env: str | None) -> None:
        ParameterNames.require_own_study(ConfigLoader(str(tmp_path), env=env, **CONFIG_LOADER_ARGS))

    for env in (None, "base", "local", "longer"):
        require(env)
    with pytest.raises(
        ValueError, match="conf/weeds/globals.yml and conf/other/globals.yml both name the study 'weeds'"
    ):
        require("weeds")
    with pytest.raises(
        ValueError, match="conf/nameless/globals.yml names images but no study.*add the line study: namel"
    ):
        require("nameless")
    with pytest.raises(
        ValueError, match="conf/sample/globals.yml and conf/base/globals.yml both name the study 'digits'"
    ):
        require("sample")
    (tmp_path / "other" / "globals.yml").unlink()
    require("same")
    require("weeds")


def test_a_study_is_named_as_its_folders_can_be():
    for name in ("digits", "2024", 2024, "Früchte 2"):
        ParameterNames.require_study(name)
    for name in ("../x", "a/b", "", ".hidden", None):
        with pytest.raises(ValueError, match="The global setting study is .*, but it names folders in data/"):
            ParameterNames.require_study(name)
