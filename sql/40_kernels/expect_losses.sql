create function internal.expect_losses(
    family text, a bytea, b bytea, c bytea, counts bytea, term_mass bytea, term_age_from bytea, term_age_to bytea
)
returns float8 []
language plpython3u immutable parallel safe
set search_path = pg_catalog, pg_temp
as $python$
from weighhouse import expectations, pg
with pg.reporting(plpy):
    return expectations.expect(family, a, b, c, counts, term_mass, term_age_from, term_age_to)
$python$;

comment on function internal.expect_losses(text, bytea, bytea, bytea, bytea, bytea, bytea, bytea) is
'What bi.expected_loss says of many periods of one curve family at once, kg: a fifth of its time.

Each argument is string_agg(..., '''' order by period): float8send of a, b, c (NaN where the family has none), int4send of the number of
terms, array_send of the terms without NULLs. NULL where nothing can be expected.';
