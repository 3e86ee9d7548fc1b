"""The notebooks run from top to bottom, and their committed outputs and prose agree with what they compute."""

from __future__ import annotations

import ast
import re

import nbformat
import numpy as np
import pytest
from kernel import NOTEBOOKS, code_cells, printed, run_notebook
from nbformat import NotebookNode

pytestmark = pytest.mark.slow

# The tour needs a finished study, so tests/pipelines/test_mixing.py runs it.
WITHOUT_OUTPUTS = {"tour"}

# Code that the tests run after a notebook's last cell, to read the value of its last expression.
QUESTIONS = {
    "xor": """
import torch.nn.functional as F

w, v = initial_weights(seed=5)
network = [torch.tensor(matrix, requires_grad=True) for matrix in (w, v)]
outputs = F.linear(F.relu(F.linear(torch.tensor(INPUTS), network[0].T)), network[1].T)
(F.mse_loss(outputs, torch.tensor(TARGETS), reduction="sum") / 2).backward()
{
    "losses": losses[[0, 100, 1000]].tolist(),
    "gradients": [matrix.tolist() for matrix in backward(v, *forward(w, v))],
    "torch_gradients": [matrix.grad.tolist() for matrix in network],
    "answers": answers.ravel().tolist(),
    "responses": (forward(trained_w, trained_v)[1] > 0).tolist(),
    "losses_of_seeds": many_losses[[1000, -1]].tolist(),
    "responses_of_seeds": (forward(ended_w, ended_v)[1] > 0).tolist(),
}
"""
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A function that runs a notebook by name, once, in a folder and a kernel of its own, and then its question."""
    finished = {}

    def execute(name: str) -> NotebookNode:
        if name not in finished:
            folder = tmp_path_factory.mktemp(name)
            finished[name] = run_notebook(name, folder, folder, QUESTIONS.get(name, "None"))
        return finished[name]

    return execute


@pytest.fixture(scope="module")
def xor(run) -> dict:
    return ast.literal_eval(run("xor").cells[-1].outputs[0].data["text/plain"])


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+\.?\d*(?:e[-+]\d+)?", text)]


def test_there_are_notebooks():
    assert {"tour", "xor"} <= NOTEBOOKS.keys()


@pytest.mark.parametrize("name", sorted(NOTEBOOKS.keys() - WITHOUT_OUTPUTS))
def test_committed_outputs_equal_those_of_a_fresh_run(run, name):
    committed = code_cells(nbformat.read(NOTEBOOKS[name], as_version=4))
    for old, new in zip(committed, code_cells(run(name))[:-1], strict=True):
        assert [set(output.get("data", ())) for output in old.outputs] == [
            set(output.get("data", ())) for output in new.outputs
        ]
        assert numbers(printed(old)) == pytest.approx(numbers(printed(new)), rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_committed_notebooks_are_clean(name):
    notebook = nbformat.read(NOTEBOOKS[name], as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    cells = code_cells(notebook)
    if name in WITHOUT_OUTPUTS:
        assert not any(cell.execution_count or cell.outputs for cell in cells)
    else:
        assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        assert not cell.metadata
        assert all(output.output_type != "error" and output.get("name") != "stderr" for output in cell.outputs)
        assert not re.search(r"(?<!\S)(/\w+){2}|[A-Z]:\\", printed(cell)), "a path of some machine"


def test_xor_reproduces_the_published_losses(xor):
    start, middle, end = xor["losses"]
    assert (round(start, 3), round(middle, 3), round(end, 5)) == (4.479, 0.549, 0.00102)


def test_xor_gradients_equal_those_of_torch(xor):
    for ours, theirs in zip(xor["gradients"], xor["torch_gradients"], strict=True):
        assert np.any(ours)
        assert np.allclose(ours, theirs, rtol=0, atol=1e-12)


def test_xor_ends_with_the_truth_table(xor):
    assert xor["answers"] == [0, 1, 1, 0]


def test_xor_prose_on_the_two_living_units_is_true(xor):
    nothing, second, first, both = np.array(xor["responses"])  # a row for each case, a column for each unit
    assert first.sum() == second.sum() == 1 and not (first & second).any(), "one unit responds to each, and only it"
    assert not nothing.any() and not both.any(), "both are silent along the diagonal"


def test_xor_prose_on_other_seeds_gives_the_measured_numbers(xor):
    early, late = np.array(xor["losses_of_seeds"])
    assert late.shape == (100,)
    ends = {"1/2": 1 / 2, "2/3": 2 / 3, "1": 1}
    stopped = {end: int(np.isclose(late, value, atol=0.01).sum()) for end, value in ends.items()}
    learned = int((late < 0.01).sum())
    assert learned + sum(stopped.values()) == 100
    prose = " ".join(cell.source for cell in nbformat.read(NOTEBOOKS["xor"], as_version=4).cells)
    assert f"{learned} of 100 networks learn XOR" in prose
    assert f"only {int((early < 0.01).sum())} of them" in prose
    assert f"The other {100 - learned} will never get there" in prose
    for end, networks in stopped.items():
        assert f"- {networks} stop at {end}." in prose


def test_xor_prose_on_why_seeds_fail_is_true_of_every_seed(xor):
    late, responses = np.array(xor["losses_of_seeds"][1]), np.array(xor["responses_of_seeds"])
    half, linear, dead = (responses[np.isclose(late, end, atol=0.01)] for end in (1 / 2, 2 / 3, 1))
    assert (~half[:, [1, 2]].any(axis=2)).any(axis=1).all(), "1/2: no unit responds to (0, 1), or none to (1, 0)"
    assert np.isin(linear[:, 1:].sum(axis=1), (0, 3)).all(), "2/3: living units respond to all three cases"
    assert not dead.any(), "1: all units are dead"
