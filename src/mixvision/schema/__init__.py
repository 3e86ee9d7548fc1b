"""The tables that nodes exchange: their columns, types, units and keys.

The catalog names a table (``schema: predictions``); `mixvision.datasets.tables.TableDataset` then reads its columns
with the types given here, and checks it when it is written and when it is first read. So a misspelled column fails
there, with a clear message, and other code can simply use ``frame["trial"]``. Code that builds or takes apart a whole
table uses its declaration: ``PREDICTIONS.empty()``, ``MANIFEST.names``, ``METRICS.key``.

To add a column: add a `Column` to its table (in `tables`, or in `metrics` if it measures models) and fill it where the
table is made. To add a table: declare it there, and name it in `TABLES` (in `catalog`) and in the project's catalog.
Files without the new column are then refused, and the message says how to recreate them; make a column ``optional`` if
older files may lack it.
"""
