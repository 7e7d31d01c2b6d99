create function internal.search_patterns(
    series bytea, kind bytea, warehouse bytea, period_start bytea, period_end bytea, day bytea, loss bytea, counted bytea, kg_days bytea, sigma bytea,
    counts bytea, term_mass bytea, term_age_from bytea, term_age_to bytea, family text [], a float8 [], b float8 [], c float8 [],
    reading_warehouse bytea, reading_time bytea, temperature bytea, humidity bytea, options jsonb
)
returns text
language plpython3u immutable
set search_path = pg_catalog, pg_temp
transform for type jsonb
as $python$
from weighhouse import pattern_search, pg
with pg.reporting(plpy):
    return pattern_search.find(series, kind, warehouse, period_start, period_end, day, loss, counted, kg_days, sigma, counts, term_mass, term_age_from, term_age_to, family, a, b, c, reading_warehouse, reading_time, temperature, humidity, options, pg.check_interrupts(plpy))
$python$;

comment on function internal.search_patterns(
    bytea, bytea, bytea, bytea, bytea, bytea, bytea, bytea, bytea, bytea, bytea, bytea, bytea, bytea, text [], float8 [], float8 [], float8 [],
    bytea, bytea, bytea, bytea, jsonb
) is
'Finds anomalies, trends, seasons, correlations, level shifts and mis-graded pairs among the periods of all products.

Columns come as string_agg of int4send, float8send and array_send, a period each, those of a series together, oldest first; series
are numbered from 0, with the deployed curve of each in arrays (NULL = none). Times are seconds since 1970. Returns JSON: an array
of findings, each with the place of its period or the number of its series, counted from 0. Can be cancelled.';
