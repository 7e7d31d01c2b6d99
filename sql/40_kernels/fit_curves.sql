create function internal.fit_curves(
    item bytea, loss bytea, kg_days bytea, weight bytea, sigma bytea, counts bytea,
    term_mass bytea, term_age_from bytea, term_age_to bytea, n_items int, options jsonb, given_b float8 [], given_c float8 []
)
returns text
language plpython3u immutable
set search_path = pg_catalog, pg_temp
transform for type jsonb
as $python$
from weighhouse import coefficients, pg
with pg.reporting(plpy):
    return coefficients.fit(item, loss, kg_days, weight, sigma, counts, term_mass, term_age_from, term_age_to, n_items, options, given_b, given_c, pg.check_interrupts(plpy))
$python$;

comment on function internal.fit_curves(
    bytea, bytea, bytea, bytea, bytea, bytea, bytea, bytea, bytea, int, jsonb, float8 [], float8 []
) is
'Fits the shrinkage curves of all products of one type.

Columns come as string_agg of int4send, float8send and array_send, a period each, products numbered from 0, in order. Returns
JSON: the type''s fit and one outcome for each product. Can be cancelled.';
