create type internal.accounted_period as (
    period_start bigint,
    period_end bigint,
    is_open boolean,
    has_opening_count boolean,
    opening_grams bigint,
    incoming_grams bigint,
    outgoing_grams bigint,
    closing_grams bigint,
    difference_grams bigint,
    surplus_applied_grams bigint,
    loss_grams bigint,
    shortage_grams bigint,
    surplus_grams bigint,
    storage_days int,
    kg_days float8,
    pre_shrinkage_days float8,
    fifo_principle_applied boolean,
    deduction_batch bigint,
    flags text [],
    batch_sequence text,
    term_mass float8 [],
    term_age_from float8 [],
    term_age_to float8 [],
    term_is_receipt boolean []
);
comment on type internal.accounted_period is 'One inventory period; masses in grams, times in local seconds since 1970.';

create function internal.account_item(
    opening_batch bigint [], opening_grams bigint [], moved_at bigint [], operation text [], batch_at bigint [],
    in_grams bigint [], out_grams bigint [], surplus float8 [], opened_at bigint, opening_is_count boolean,
    tolerance_grams bigint, max_age_days int
)
returns setof internal.accounted_period
language plpython3u immutable parallel safe
set search_path = pg_catalog, pg_temp
as $python$
from weighhouse import pg, stock
with pg.reporting(plpy):
    return list(stock.as_text(stock.account_item(opening_batch, opening_grams, moved_at, operation, batch_at, in_grams, out_grams, surplus, opened_at, opening_is_count, tolerance_grams, max_age_days)))
$python$;

comment on function internal.account_item(
    bigint [], bigint [], bigint [], text [], bigint [], bigint [], bigint [], float8 [], bigint, boolean, bigint, int
) is
'Splits the movements of one product in one warehouse into inventory periods, FIFO.

Times are local seconds, masses grams. opening_grams NULL: nothing states the opening stock; the least that explains the
issues stands in. Returns the periods, oldest first.';
