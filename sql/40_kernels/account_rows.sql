create function internal.account_rows(
    period_start bigint [], period_end bigint [], opening_grams bigint [], incoming_grams bigint [], outgoing_grams bigint [],
    closing_grams bigint [], surplus float8 [], opening_is_count boolean, tolerance_grams bigint
)
returns setof internal.accounted_period
language plpython3u immutable parallel safe
set search_path = pg_catalog, pg_temp
as $python$
from weighhouse import pg, stock
with pg.reporting(plpy):
    return list(stock.as_text(stock.account_rows(period_start, period_end, opening_grams, incoming_grams, outgoing_grams, closing_grams, surplus, opening_is_count, tolerance_grams)))
$python$;

comment on function internal.account_rows(
    bigint [], bigint [], bigint [], bigint [], bigint [], bigint [], float8 [], boolean, bigint
) is
'Turns the flat balances of one product, oldest first, into inventory periods without batches.

Times are local seconds, masses grams; NULL = the file did not say.';
