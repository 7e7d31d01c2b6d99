create function internal.fit_rows(
    kind text, task text, kind_options jsonb, levels int, has_target boolean, names text [], families text [], numbers bytea [], texts text [], known uuid
)
returns table (
    header text, arrays bytea, native bytea, native_format text, label text, version int, task text, row_count int, note text, is_continued boolean
)
language plpython3u volatile
set search_path = pg_catalog, pg_temp
as $python$
from weighhouse.tabular import table
from weighhouse import pg
with pg.reporting(plpy):
    return [table.fit(kind, task, kind_options, levels, has_target, names, families, numbers, texts, known, pg.check_interrupts(plpy))]
$python$;

comment on function internal.fit_rows(text, text, jsonb, int, boolean, text [], text [], bytea [], text [], uuid) is
'Fits a kind on the rows of a table; one row: what is to be stored (weighhouse.tabular.table says how columns are sent).

task: NULL = found from the target. levels: most levels of a text with a column of their own. known: artifact in memory to go on from,
NULL = none. Can be cancelled. Raises 22023 for data that cannot be, ML101 for too few rows, ML104 when there is nothing to tell apart.';

create function internal.evaluate_rows(
    kind text, task text, kind_options jsonb, levels int, names text [], families text [], numbers bytea [], texts text [], folds int, seed int, repeats int
)
returns text
language plpython3u volatile
set search_path = pg_catalog, pg_temp
as $python$
from weighhouse.tabular import table
from weighhouse import pg
with pg.reporting(plpy):
    return table.evaluate(kind, task, kind_options, levels, names, families, numbers, texts, folds, seed, repeats, pg.check_interrupts(plpy))
$python$;

comment on function internal.evaluate_rows(text, text, jsonb, int, text [], text [], bytea [], text [], int, int, int) is
'Cross-validates a kind on the rows of a table, the first column being the target; JSON (weighhouse.tabular.table says its form).';

create function internal.score_rows(
    kind text, id uuid, names text [], families text [], numbers bytea [], texts text [], count int, -- noqa: RF04
    out value text, out class_number text, out probability text
)
returns record
language plpython3u volatile
set search_path = pg_catalog, pg_temp
as $python$
from weighhouse.tabular import table
from weighhouse import pg
with pg.reporting(plpy):
    return table.score(kind, id, names, families, numbers, texts, count, pg.check_interrupts(plpy))
$python$;

comment on function internal.score_rows(text, uuid, text [], text [], bytea [], text [], int) is
'Scores rows with an artifact in memory; literals of arrays, one element a row, NULL = the task has none.

value: number predicted, score of anomalies, number of a cluster. class_number: the class from 1, of anomalies 2 = anomaly.
probability: of that class, 0 to 1.';

create function internal.score_row(
    kind text, id uuid, features jsonb,
    out prediction text, out value float8, out probability float8, out probabilities text, out note text
)
returns record
language plpython3u volatile
set search_path = pg_catalog, pg_temp
as $python$
from weighhouse.tabular import table
from weighhouse import pg
with pg.reporting(plpy):
    return table.score_one(kind, id, features, pg.check_interrupts(plpy))
$python$;

comment on function internal.score_row(text, uuid, jsonb) is
'Scores one row of named features with an artifact in memory. Raises 22023 for a name or value that cannot be.';

create function internal.check_table_options(kind text, options jsonb)
returns text
language plpython3u immutable
set search_path = pg_catalog, pg_temp
as $python$
from weighhouse.tabular import table
from weighhouse import pg
with pg.reporting(plpy):
    return table.check_options(kind, options)
$python$;

comment on function internal.check_table_options(text, jsonb) is 'Completes the options of a kind of tables; JSON. Raises 22023.';
