"""Errors of datasets with plain messages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kedro.io import DatasetError


@contextmanager
def errors_as_sentences() -> Iterator[None]:
    """Raise errors as DatasetError with their message alone, without Kedro's description of the dataset."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise DatasetError(str(error)) from error
