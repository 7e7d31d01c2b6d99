create function internal.check_days(from_date date, to_date date)
returns boolean
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
    if from_date > to_date or not isfinite(from_date) or not isfinite(to_date) then
        raise exception 'the days from % to % are no interval', from_date, to_date
            using errcode = '22023', hint = 'Give the earlier day first, or NULL for an open end.';
    end if;
    return true;
end
$$;

comment on function internal.check_days(date, date) is
'Raises 22023 for days that end before they start; true otherwise. NULL = open.';

create function api.norm_loss(item text, warehouse text default null, from_date date default null, to_date date default null)
returns table (
    period_start timestamptz, period_end timestamptz, warehouse text, norm_id int, norm text, turnover_kg float8, average_stock_kg float8,
    one_day_turnover_kg float8, storage_term_days float8, storage_term_from text, norm_percent float8, norm_kg float8, shortage_kg float8,
    within_norm_kg float8, above_norm_kg float8, verdict text, reason text
)
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
    with question as materialized (
        select internal.find_item(norm_loss.item) as item_id,
            case when norm_loss.warehouse is not null then internal.find_warehouse(norm_loss.warehouse) end as warehouse_id,
            internal.check_days(norm_loss.from_date, norm_loss.to_date) as is_fair
    )
    select c.period_start, c.time, c.warehouse, c.norm_id, c.norm, c.turnover_kg, c.average_stock_kg, c.turnover_kg / nullif(c.period_days, 0),
        c.storage_term_days, c.storage_term_from, c.norm_percent, c.norm_kg, c.shortage_kg, c.within_norm_kg, c.above_norm_kg, c.verdict, c.reason
    from bi.shrinkage_by_cause as c
    inner join core.warehouses as w on w.id = c.warehouse_id
    where c.item_id = (select q.item_id from question as q where q.is_fair)
      and ((select q.warehouse_id from question as q) is null or c.warehouse_id = (select q.warehouse_id from question as q))
      and (c.time - interval '1 second') at time zone w.time_zone >= coalesce(norm_loss.from_date, '-infinity')
      and (c.time - interval '1 second') at time zone w.time_zone < coalesce(norm_loss.to_date + 1, 'infinity')
    order by c.time, c.warehouse;
end;

comment on function api.norm_loss(text, text, date, date) is
'Splits the shortages of a product by its norm of natural loss, one row an inventory period, with the figures the norm comes from.

item: name, id or any spelling seen; warehouse: name or id, NULL = all; the counts of the days from from_date to to_date, both
included, NULL = open. kg, days and percent as in bi.shrinkage_by_cause. Raises 22023 for an unknown product or warehouse, or days
that end before they start. Example: select * from api.norm_loss(''СКУМБРИЯ Х/К'', from_date => ''2025-01-01'', to_date => ''2025-01-31'');';
