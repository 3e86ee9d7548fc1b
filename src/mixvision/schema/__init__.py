"""The tables that carry everything from node to node: their columns, types, units and keys.

The catalog names a table (``schema: predictions``); `mixvision.datasets.tables.TableDataset` then reads its columns
with the types given here, and checks it when it is written and when it is first read. So a misspelled column fails at
the border, in a sentence, and code in between may go on saying ``frame["trial"]``. What builds or takes apart a whole
table asks it: ``PREDICTIONS.empty()``, ``MANIFEST.names``, ``METRICS.key``.

To add a column: add a `Column` to its table (in `tables`, or in `metrics` where it says
how good models are) and fill it where the table is made. To add a table: declare
it there, and name it in `TABLES` (in `catalog`) and in the project's catalog. A file that lacks the new column is then
refused, and the sentence says how to renew it; a column that older files may do without is ``optional``.
"""
