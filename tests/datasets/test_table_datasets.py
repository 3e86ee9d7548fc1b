"""Tables are loaded as they were saved, and a file that does not hold its table is refused."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from damage import flip
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kedro.io import DatasetError
from pyarrow import parquet

import mixvision
from mixvision.datasets.tables import VERSION, TableDataset
from mixvision.schema.catalog import TABLES
from mixvision.schema.columns import DTYPES, FLAG, FRACTION, NUMBER, TEXT, WHOLE, Table
from mixvision.schema.tables import TRANSFER_TRIALS

SUFFIXES = ("csv", "parquet")
# Any text except with carriage returns: Windows' line ends inside texts of a CSV file are not supported.
TEXTS = st.sampled_from(["", "NA", "007", "nan", "None", "1e5", "True", ' a "b", c ', "two\nlines"]) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\0")
)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32)


def values_of(column) -> st.SearchStrategy:
    """Values that a column may have."""
    kinds = {TEXT: TEXTS, WHOLE: st.integers(-(2**53), 2**53), NUMBER: NUMBERS, FLAG: st.booleans()}
    values = st.sampled_from(column.values) if column.values else kinds[column.kind]
    values = st.floats(0, 1, width=32) if column.unit == FRACTION else values
    return values | st.none() if column.missing else values


@st.composite
def tables(draw) -> tuple[str, pd.DataFrame]:
    """The name of any declared table, and rows that it may have."""
    name = draw(st.sampled_from(list(TABLES)))
    table: Table = TABLES[name]
    chosen = [column for column in table.columns if not column.optional or draw(st.booleans())]
    key = [column.name for column in chosen if column.name in table.key]
    row = st.tuples(*map(values_of, chosen))
    places = [place for place, column in enumerate(chosen) if column.name in key]
    unique = (lambda one: tuple(one[place] for place in places)) if key else None
    rows = draw(st.lists(row, max_size=4, unique_by=unique))
    frame = pd.DataFrame(rows, columns=[column.name for column in chosen])
    kinds = {column.name: column.kind for column in chosen if not (column.missing and column.kind == WHOLE)}
    return name, frame.astype({column: DTYPES[kind] for column, kind in kinds.items()}).astype(
        {column.name: "float64" for column in chosen if column.name not in kinds}
    )


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=tables())
def test_round_trips(tmp_path, suffix, table):
    name, frame = table
    dataset = TableDataset(filepath=str(tmp_path / f"table.{suffix}"), schema=name)
    dataset.save(frame)
    for reader in (dataset, TableDataset(filepath=str(tmp_path / f"table.{suffix}"), schema=name)):
        loaded = reader.load()
        for column in frame:  # if no whole number is missing, the file does not say that some may be
            if pd.api.types.is_integer_dtype(loaded[column].dtype) and not frame[column].isna().any():
                loaded[column] = loaded[column].astype(frame[column].dtype)
        pd.testing.assert_frame_equal(loaded, frame, check_exact=suffix == "parquet", rtol=1e-12)
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


@pytest.fixture
def trials() -> pd.DataFrame:
    """Three trials of transfer learning with awkward names."""
    rows = TRANSFER_TRIALS.empty().reindex(range(3))
    texts = {column.name: "" for column in TRANSFER_TRIALS.columns if column.kind == TEXT}
    numbers = {"seed": 0, "input_size": 64, "epochs": 3, "learning_rate": [0.1, 0.2, None], "weight_decay": 0}
    more = {"batch_size": [8, 16, None], "patience": [None, None, 5], "augmented": [True, True, False]}
    return rows.assign(**texts, **numbers, **more).assign(trial=["NA", "007", "linear"], fine_tuning=["NA", "007", ""])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_empty_frame_is_loaded_with_the_tables_columns(tmp_path, suffix):
    dataset = TableDataset(filepath=str(tmp_path / f"history.{suffix}"), schema="baselines.history")
    dataset.save(pd.DataFrame())
    loaded = dataset.load()
    assert len(loaded) == 0 and loaded["trial"].dtype == "str" and loaded["epoch"].dtype == "int64"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_types_do_not_depend_on_the_rows(tmp_path, trials, suffix):
    dataset = TableDataset(filepath=str(tmp_path / f"trials.{suffix}"), schema="transfer.trials")
    for rows in (slice(None), slice(1), slice(1, 2), slice(0)):
        dataset.save(trials[rows])
        loaded = dataset.load()
        assert loaded["trial"].tolist() == trials["trial"].tolist()[rows]
        assert loaded["fine_tuning"].tolist() == trials["fine_tuning"].tolist()[rows]
        assert (
            loaded.dtypes[["trial", "weight_decay", "learning_rate"]].astype(str).tolist() == ["str"] + ["float64"] * 2
        )


def test_32_bits_stay_32_bits(tmp_path):
    dataset = TableDataset(filepath=str(tmp_path / "p.parquet"), schema="probabilities")
    dataset.save(pd.DataFrame({"view": "whole", "id": ["a", "b"], "NA": np.float32([0.1, 0.9])}))
    assert dataset.load()["NA"].dtype == "float32"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_wrong_table_leaves_the_file_as_it_was(tmp_path, trials, suffix):
    file = tmp_path / f"trials.{suffix}"
    dataset = TableDataset(filepath=str(file), schema="transfer.trials")
    dataset.save(trials)
    before = file.read_bytes()
    with pytest.raises(DatasetError, match=f"^{file}, the table 'trials': it has the unknown column 'rate'. Correct"):
        dataset.save(trials.assign(rate=1))
    assert file.read_bytes() == before and [path.name for path in tmp_path.iterdir()] == [file.name]


def test_an_edited_file_is_checked_again(tmp_path, trials):
    file = tmp_path / "trials.csv"
    dataset = TableDataset(filepath=str(file), schema="transfer.trials")
    dataset.save(trials)
    dataset.load()
    file.write_text(file.read_text().replace("linear", "007"))
    with pytest.raises(DatasetError, match="1 of its rows repeat the key of another, the first of them trial '007'"):
        dataset.load()
    file.write_text(file.read_text().replace(",0.1,", ",a tenth,"))
    with pytest.raises(
        DatasetError, match=r"'learning_rate' must hold numbers \(initial learning rate\), but holds 'a tenth'"
    ):
        dataset.load()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "No columns to parse from file"),
        (b"trial;id\na;b\n", "its columns are separated by semicolons instead of commas"),
        (b"trial,id\na,b,c\nd,e,f\n", "some rows have more fields than there are columns"),
        (b"trial,id\na,b\nd,e,f\n", "Expected 2 fields in line 3, saw 3"),
        (b"trial\tid\na\tb\n", "its columns are separated by tabs instead of commas"),
        (b'trial,id\na,"b\n', "EOF inside string"),
        ("trial,id\nä,b\n".encode("latin-1"), "'utf-8' codec can't decode"),
    ],
)
def test_a_csv_file_that_is_not_a_table_is_refused_by_name(tmp_path, content, fault):
    file = tmp_path / "sets.csv"
    file.write_bytes(content)
    with pytest.raises(
        DatasetError, match=f"^{file} cannot be read as a table: .*{fault}.* Correct it, or rerun"
    ) as refusal:
        TableDataset(filepath=str(file), schema="training_sets").load()
    assert "another version" not in str(refusal.value)


def test_a_damaged_parquet_file_is_refused_by_name(tmp_path):
    file = tmp_path / "sets.parquet"
    dataset = TableDataset(filepath=str(file), schema="training_sets")
    dataset.save(pd.DataFrame({"trial": "a", "id": [str(number) for number in range(3000)]}))
    whole = file.read_bytes()
    for damaged in (b"PAR1 and no more", whole[: len(whole) // 2], whole[:1000] + b"\xff" * 2000 + whole[3000:]):
        file.write_bytes(damaged)
        with pytest.raises(DatasetError, match=f"^{file} cannot be read as a table: .* Correct it, or rerun"):
            dataset.load()


@pytest.mark.parametrize("position", [0.01, 0.2, 0.5, 0.8])
def test_one_flipped_byte_in_a_parquet_file_is_noticed(tmp_path, position):
    file = tmp_path / "sets.parquet"
    dataset = TableDataset(filepath=str(file), schema="training_sets")
    dataset.save(pd.DataFrame({"trial": "a", "id": [str(number) for number in range(3000)]}))
    flip(file, position)
    with pytest.raises(DatasetError, match=f"^{file} cannot be read as a table: "):
        dataset.load()


@pytest.mark.parametrize(
    ("version", "writer"),
    [
        ({VERSION: "0.1.0"}, "version 0.1.0 of Mixvision"),
        ({VERSION: mixvision.__version__}, f"another build of version {mixvision.__version__} of Mixvision"),
        ({}, "an earlier version of Mixvision"),
    ],
)
def test_a_parquet_file_of_another_version_is_refused_with_it(tmp_path, version, writer):
    file = tmp_path / "sets.parquet"
    rows = pa.Table.from_pandas(pd.DataFrame({"model": ["a"], "id": ["b"]}))
    parquet.write_table(rows.replace_schema_metadata({**rows.schema.metadata, **version}), file)
    with pytest.raises(
        DatasetError, match=f"lacks 'trial' .* It was written by {writer}, with other columns: correct it, or rerun"
    ):
        TableDataset(filepath=str(file), schema="training_sets").load()


def test_a_csv_file_of_another_version_is_refused_as_such(tmp_path):
    file = tmp_path / "arrivals.csv"
    file.write_text("run,images\n1,2\n")
    with pytest.raises(
        DatasetError, match="written by an editor or by another version of Mixvision, with other columns"
    ):
        TableDataset(filepath=str(file), schema="streams.arrivals").load()


def test_a_parquet_file_records_the_version(tmp_path):
    file = tmp_path / "sets.parquet"
    TableDataset(filepath=str(file), schema="training_sets").save(pd.DataFrame({"trial": ["a"], "id": ["b"]}))
    assert parquet.read_schema(file).metadata[VERSION].decode() == mixvision.__version__


def test_missing_files_wrong_names_and_unknown_schemas_are_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"There is no .*sets\.csv: run the node that writes it first"):
        TableDataset(filepath=str(tmp_path / "sets.csv"), schema="training_sets").load()
    with pytest.raises(DatasetError, match=r"sets\.txt cannot hold a table: its name must end in \.csv or \.parquet"):
        TableDataset(filepath=str(tmp_path / "sets.txt"), schema="training_sets").save(pd.DataFrame())
    with pytest.raises(ValueError, match="schema is 'sets'"):
        TableDataset(filepath=str(tmp_path / "sets.csv"), schema="sets")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_kedro_viz_shows_the_first_rows(tmp_path, trials, suffix):
    dataset = TableDataset(filepath=str(tmp_path / f"trials.{suffix}"), schema="transfer.trials")
    dataset.save(trials)
    preview = dataset.preview(nrows=2)
    assert preview["columns"] == list(trials) and [row[0] for row in preview["data"]] == ["NA", "007"]
    assert len(dataset.preview()["data"]) == 3 and json.dumps(preview)
