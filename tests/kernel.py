"""Runs a notebook in a kernel of its own, and asks for values of its variables afterwards."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

NOTEBOOKS = {path.stem: path for path in sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))}


def run_notebook(name: str, folder: Path, private: Path, question: str = "None") -> NotebookNode:
    """Run a notebook by name, with one more cell at its end.

    Args:
        name: its file without the suffix.
        folder: the working directory.
        private: a folder for the kernel's own files.
        question: the code of the last cell.
    """
    notebook = nbformat.read(NOTEBOOKS[name], as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(question))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(private))
        patch.setenv("JUPYTER_RUNTIME_DIR", str(private))
        patch.delenv("MPLBACKEND", raising=False)
        return NotebookClient(notebook, timeout=None, resources={"metadata": {"path": str(folder)}}).execute()


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(cell: NotebookNode) -> str:
    return "\n".join(output.get("text") or output["data"]["text/plain"] for output in cell.outputs)
