create function api.backfill_forecasts(since timestamptz, item text default null)
returns table (new_count bigint, without_curve_count bigint, settled_count bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    item_id int := case when item is not null then internal.find_item(item) end;
begin
    if since is null then
        raise exception 'since is missing' using errcode = '22023', hint = 'Name the first opening count to look at; ''-infinity'' takes all.';
    end if;
    perform internal.check_forecast_question(null);
    perform pg_advisory_xact_lock(x'57454949'::int);
    perform internal.gather_stock(item_id, since, false);
    perform internal.gather_usual_loss(true);
    select i.new_count, i.without_curve_count into new_count, without_curve_count from internal.issue_forecasts(null, true) as i;
    select s.changed_count into settled_count from api.settle_forecasts() as s;
    return next;
end
$$;

comment on function api.backfill_forecasts(timestamptz, text) is
'Writes what api.forecast_next_count() would have said at every count since a time that another count followed, and settles it.

The deployed curve is used, which may have seen these counts: such rows are marked (is_backtest, notes) and reported apart. They give
the bands of new forecasts their width where too few were settled. item: name, id or any spelling; NULL = all. The same call changes
nothing. Raises 22023 without since or for an unknown product, ML201 where no curve is deployed.
Example: select * from api.backfill_forecasts(''-infinity'');';
