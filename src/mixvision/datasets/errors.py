"""What went wrong with a dataset, said in a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kedro.io import DatasetError


@contextmanager
def errors_as_sentences() -> Iterator[None]:
    """The sentence of an error alone, without Kedro's description of the dataset."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise DatasetError(str(error)) from error
