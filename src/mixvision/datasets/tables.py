"""A Kedro dataset for tables whose columns `mixvision.schema` declares."""

from __future__ import annotations

import csv
import re
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from kedro.io import AbstractDataset
from kedro_datasets._typing import TablePreview
from kedro_datasets.pandas import CSVDataset, ParquetDataset
from pandas.api.types import is_integer_dtype
from pyarrow import parquet

import mixvision
from mixvision.datasets.errors import errors_as_sentences
from mixvision.files import replacing_file
from mixvision.schema.catalog import table_named
from mixvision.schema.cells import guard, unguard
from mixvision.schema.columns import DTYPES, NUMBER, TEXT, Table, check

SUFFIXES = (".csv", ".parquet")
VERSION = b"mixvision_version"  # in the metadata of a Parquet file


class GuardedCSVDataset(CSVDataset):
    """Kedro's CSVDataset for tables with names of the user's: cells that a spreadsheet would run are made texts."""

    def save(self, data: pd.DataFrame) -> None:
        super().save(guard(data))

    def load(self) -> pd.DataFrame:
        return unguard(super().load())


class ShownParquetDataset(ParquetDataset):
    """Kedro's ParquetDataset with a preview for kedro-viz."""

    def preview(self, nrows: int = 5) -> TablePreview:
        """The first rows."""
        return self.load()[:nrows].to_dict(orient="split")


class TableDataset(AbstractDataset[pd.DataFrame, pd.DataFrame]):
    """A table in a CSV or Parquet file, as its suffix says.

    ```yaml
    mixing.metrics:
      type: mixvision.datasets.tables.TableDataset
      filepath: data/08_reporting/fruits/mixing/metrics.csv
      schema: mixing.metrics      # a name in mixvision.schema.TABLES
      metadata: {kedro-viz: {layer: reporting, preview_args: {nrows: 200}}}
    ```

    Columns have the types that the schema gives them: in a CSV file a category called "NA" or "007" keeps that name, an
    empty text is a text, and an empty number is missing; formulas are written as texts. A table is checked when it is
    saved, and a file when it is first loaded or has changed since. The index is not kept. The new file replaces the old
    one when it is complete.
    """

    def __init__(self, *, filepath: str, schema: str, metadata: dict[str, Any] | None = None) -> None:
        self.filepath = Path(filepath)
        self.schema, self.table = schema, table_named(schema)
        self.metadata = metadata
        self._checked: tuple[int, int] | None = None  # the stamp of the file when it was checked

    def load(self) -> pd.DataFrame:
        with errors_as_sentences():
            frame, stamp = self._read(), self._stamp()
            if stamp != self._checked:
                check(frame, self.table, str(self.filepath), self._written_by())
                self._checked = stamp
            return _typed(frame, self.table)

    def save(self, data: pd.DataFrame) -> None:
        with errors_as_sentences():
            self._require_suffix()
            frame = self.table.empty() if data.empty and not len(data.columns) else data
            check(frame, self.table, str(self.filepath))
            self._write(frame.reset_index(drop=True))
            self._checked = self._stamp()

    def check(self) -> None:
        """Raise FileNotFoundError if there is no file to load."""
        if not self.filepath.exists():
            raise FileNotFoundError(f"There is no {self.filepath}: run {self._writer()} first.")

    def preview(self, nrows: int = 5) -> TablePreview:
        """The first rows, for kedro-viz."""
        return self._read(nrows).to_dict(orient="split")

    def _read(self, rows: int | None = None) -> pd.DataFrame:
        self._require_suffix()
        self.check()
        try:
            if self.filepath.suffix == ".csv":
                return _read_csv(self.filepath, self.table, rows)
            table = parquet.read_table(self.filepath, page_checksum_verification=True)
            return table[:rows].to_pandas()
        except (ValueError, OSError, pa.ArrowException) as error:
            raise ValueError(
                f"{self.filepath} cannot be read as a table: {str(error).strip().rstrip('.')}. "
                "Correct it, or rerun the pipeline from the node that writes it."
            ) from error

    def _write(self, frame: pd.DataFrame) -> None:
        self.filepath.parent.mkdir(parents=True, exist_ok=True)
        with replacing_file(self.filepath) as partial:
            if self.filepath.suffix == ".csv":
                guard(frame).to_csv(partial, index=False, quoting=csv.QUOTE_NONNUMERIC if _has_returns(frame) else 0)
            else:
                _write_parquet(_typed(frame, self.table), partial)

    def _writer(self) -> str:
        """The command that writes the file: it is in data/<layer>/<study>/<pipeline>/, or <study>/ after ingestion."""
        parts = self.filepath.parts
        layer = next((place for place, part in enumerate(parts) if re.fullmatch(r"0\d_\w+", part)), len(parts))
        if layer + 2 >= len(parts):
            return "the node that writes it"
        pipeline = parts[layer + 2] if layer + 3 < len(parts) else "ingestion"
        return f"kedro run --pipelines={pipeline} (and --env as now)"

    def _written_by(self) -> str:
        """Which version of Mixvision wrote the file, in words; a CSV file does not say."""
        if self.filepath.suffix == ".csv":
            return "an editor or by another version of Mixvision"
        version = (parquet.read_schema(self.filepath).metadata or {}).get(VERSION, b"").decode()
        if version == mixvision.__version__:
            return f"another build of version {version} of Mixvision"
        return f"version {version} of Mixvision" if version else "an earlier version of Mixvision"

    def _require_suffix(self) -> None:
        if self.filepath.suffix not in SUFFIXES:
            raise ValueError(f"{self.filepath} cannot hold a table: its name must end in {' or '.join(SUFFIXES)}.")

    def _stamp(self) -> tuple[int, int]:
        status = self.filepath.stat()
        return status.st_mtime_ns, status.st_size

    def _exists(self) -> bool:
        return self.filepath.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self.filepath), "schema": self.schema}


def _read_csv(file: Path, table: Table, rows: int | None) -> pd.DataFrame:
    """Read text columns unchanged; in other columns an empty value is missing, and the check tests their types."""
    names = pd.read_csv(file, nrows=0).columns
    plain = dict(zip(unguard(pd.DataFrame(columns=names)).columns, names, strict=True))
    for separator, plural in ((";", "semicolons"), ("\t", "tabs")):
        if len(names) == 1 and separator in names[0]:
            raise ValueError(f"its columns are separated by {plural} instead of commas")
    texts = [plain[name] for name, kind in table.kinds(list(plain)).items() if kind == TEXT]
    with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
        try:
            frame = pd.read_csv(
                file,
                dtype=dict.fromkeys(texts, "str"),
                keep_default_na=False,
                na_values={name: [""] for name in names if name not in texts},
                index_col=False,
                nrows=rows,
            )
            return unguard(frame)
        except pd.errors.ParserWarning as warning:  # pandas would drop the extra ones
            raise ValueError("some rows have more fields than there are columns (decimal commas?)") from warning


def _has_returns(frame: pd.DataFrame) -> bool:
    """Whether a text has a carriage return, which pandas does not put in quotes by itself."""
    texts = frame.select_dtypes(include=["object", "string", "category"])
    return any(texts[name].astype(str).str.contains("\r", regex=False).any() for name in texts)


def _write_parquet(frame: pd.DataFrame, file: Path) -> None:
    rows = pa.Table.from_pandas(frame)
    rows = rows.replace_schema_metadata({**rows.schema.metadata, VERSION: mixvision.__version__})
    parquet.write_table(rows, file, write_page_checksum=True)


def _typed(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """The frame with the schema's types where the file leaves them open: without rows, and numbers that are all whole.

    Other types stay as they are: probabilities may have 32 bits.
    """
    kinds = table.kinds(frame)
    if len(frame):
        kinds = {name: kind for name, kind in kinds.items() if kind == NUMBER and is_integer_dtype(frame[name])}
    return frame.astype({name: DTYPES[kind] for name, kind in kinds.items()})
