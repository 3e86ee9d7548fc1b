"""Tables of names come back from their files as they went in, whatever the names are."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from kedro.config import OmegaConfigLoader
from kedro.io import DataCatalog

from mixvision.settings import CONFIG_LOADER_ARGS

CONF = Path(__file__).parents[2] / "conf"
TRIALS = ["NA", "007", "linear"]
TABLES = {
    "trials": {
        "trial": TRIALS,
        "fine_tuning": ["NA", "007", ""],
        "learning_rate": [0.1, 0.2, None],
        "batch_size": [8, 16, 32],
        "patience": [None, None, 5],
        "augmented": [True, True, False],
    },
    "outcomes": {"trial": TRIALS, "status": ["finished"] * 3, "reason": ["", "", ""], "epochs": [1, 2, 3]},
    "members": {"trial": ["NA+views", "mean-of-2"], "method": ["views"] * 2, "members": ["NA", "007"], "views": [2, 1]},
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("rows", [slice(None), slice(1), slice(1, 2), slice(0)])
def test_names_are_names(tmp_path, name, rows):
    """Also where "NA" or "007" stands alone in its column, and in a table without rows."""
    entry = OmegaConfigLoader(str(CONF), **CONFIG_LOADER_ARGS)["catalog"][f"transfer.{name}"]
    catalog = DataCatalog.from_config({name: entry | {"filepath": str(tmp_path / "table.csv")}})
    table = pd.DataFrame(TABLES[name])[rows]
    catalog.save(name, table)
    loaded = catalog.load(name)
    pd.testing.assert_frame_equal(loaded, table.reset_index(drop=True), check_dtype=False)
