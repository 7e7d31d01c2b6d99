create function internal.search_anomalies(options jsonb, step_seconds float8, threshold float8, steps bytea, "values" bytea, counts bytea)
returns text
language plpython3u immutable
set search_path = pg_catalog, pg_temp
as $python$
from weighhouse import findings, pg
with pg.reporting(plpy):
    return findings.find_anomalies(options, step_seconds, threshold, steps, values, counts, pg.check_interrupts(plpy))
$python$;

comment on function internal.search_anomalies(jsonb, float8, float8, bytea, bytea, bytea) is
'Finds the anomalies of a batch of series, each against its own trend, seasons and levels; JSON, one object a series in order: rows of
step, actual, expected, score; or reason, sqlstate, hint.

steps, values: string_agg of int8send and float8send, one series after the other; counts: int4send of how many each has. Can be
cancelled.';

create function internal.search_changes(
    options jsonb, step_seconds float8, min_length int, penalty float8, steps bytea, "values" bytea, counts bytea
)
returns text
language plpython3u immutable
set search_path = pg_catalog, pg_temp
as $python$
from weighhouse import findings, pg
with pg.reporting(plpy):
    return findings.find_change_points(options, step_seconds, min_length, penalty, steps, values, counts, pg.check_interrupts(plpy))
$python$;

comment on function internal.search_changes(jsonb, float8, int, float8, bytea, bytea, bytea) is
'Finds where the series of a batch left their level or spread; JSON as internal.search_anomalies, rows of step, kind, before, after, gain, p.

min_length: steps between two changes, NULL = by the season. penalty: of a change, in ln n. Can be cancelled.';
