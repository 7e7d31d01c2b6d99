create function internal.find_surplus(
    item bytea, ended bytea, difference bytea, applied bytea, weight bytea, sigma bytea, counts bytea,
    term_mass bytea, term_age_from bytea, term_age_to bytea, term_is_receipt bytea, a float8 [], b float8 [], c float8 [], options jsonb
)
returns text
language plpython3u immutable
set search_path = pg_catalog, pg_temp
transform for type jsonb
as $python$
from weighhouse import pg, recommendations
with pg.reporting(plpy):
    return recommendations.recommend(item, ended, difference, applied, weight, sigma, counts, term_mass, term_age_from, term_age_to, term_is_receipt, a, b, c, options, pg.check_interrupts(plpy))
$python$;

comment on function internal.find_surplus(
    bytea, bytea, bytea, bytea, bytea, bytea, bytea, bytea, bytea, bytea, bytea, float8 [], float8 [], float8 [], jsonb
) is
'Tells what the receipts of the products of one type bring beyond their documents.

Columns come as string_agg of int4send, float8send and array_send, a period each, products numbered from 0, in order; a, b, c are
the coefficients in force by product. Returns JSON: a row for each product that can be judged. Can be cancelled.';
