create function internal.holdout_curves(
    item bytea, loss bytea, kg_days bytea, weight bytea, sigma bytea, counts bytea,
    term_mass bytea, term_age_from bytea, term_age_to bytea, n_items int, options jsonb
)
returns text
language plpython3u immutable
set search_path = pg_catalog, pg_temp
transform for type jsonb
as $python$
from weighhouse import coefficients, pg
with pg.reporting(plpy):
    return coefficients.hold_out(item, loss, kg_days, weight, sigma, counts, term_mass, term_age_from, term_age_to, n_items, options, pg.check_interrupts(plpy))
$python$;

comment on function internal.holdout_curves(
    bytea, bytea, bytea, bytea, bytea, bytea, bytea, bytea, bytea, int, jsonb
) is
'Predicts the last periods of each product of one type from those before, beside two simple rules.

Columns as for internal.fit_curves. Returns JSON: the errors over all folds, each fold, and whether the fit beats both rules.
Can be cancelled.';
