create function api.forecast_next_count(horizon_days int default null, item text default null, refresh boolean default false)
returns table (new_count bigint, renewed_count bigint, without_curve_count bigint, open_count bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    item_id int := case when item is not null then internal.find_item(item) end;
begin
    perform internal.check_forecast_question(horizon_days);
    -- No accounting meanwhile: periods hold still.
    perform pg_advisory_xact_lock(x'57454949'::int);
    perform internal.gather_stock(item_id, null, coalesce(refresh, false));
    perform internal.gather_usual_loss(false);
    select i.new_count, i.renewed_count, i.without_curve_count into new_count, renewed_count, without_curve_count
    from internal.issue_forecasts(horizon_days, false) as i;
    select count(*) into open_count from core.preliminary_forecasts as f where f.status = 'open' and not f.is_backtest;
    return next;
end
$$;

comment on function api.forecast_next_count(int, text, boolean) is
'Writes down, before the next count, what it should find missing: for each product and warehouse whose last count opened a period.

Expected kg by the deployed curve from the layers in stock with their ages, as if nothing came or went until the count; an 80 % band
from how past counts came out, so that trade is in it; a figure with trade as usual beside it; a confidence. See bi.next_count.
horizon_days: days from one count to the next, 1 to 92; NULL = the median of the warehouse. item: name, id or any spelling; NULL = all.
What was said of an opening count stays, so that the same call changes nothing, until a surplus is accepted or specified and the
curves are fitted with it; refresh => true says all anew, with today''s curve and what moved since. Returns how many are new, were renewed, could not be made for lack of a curve, and are open now. Raises 22023 for an
unknown product or another horizon, ML201 where no curve is deployed.
Example: select * from api.forecast_next_count();';
