create function internal.accept_balances(source_data_id int, options jsonb default '{}')
returns internal.accepted
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    decimal_mark text := options ->> 'decimal';
    zone text := options ->> 'time_zone';
    default_warehouse text := coalesce(options ->> 'warehouse', 'main');
    on_conflict text := coalesce(options ->> 'on_conflict', 'skip');
    result internal.accepted;
    candidate_count bigint;
    offending record;
begin
    -- A period given for the whole file stands in for columns the file does not have.
    update staging.row as r
    set period_start = coalesce(r.period_start, options ->> 'period_start'),
        period_end = coalesce(r.period_end, options ->> 'period_end')
    where options ->> 'period_end' is not null and (r.period_start is null or r.period_end is null);

    if exists (select from staging.row as r) and not exists (select from staging.row as r where r.period_end is not null) then
        raise exception 'the file does not say which period its balances are for'
            using errcode = '22007', hint = 'Give it with --period START..END, as --period 2025-07-15..2025-07-21.';
    end if;

    perform internal.spell_names();
    perform internal.remember_names(default_warehouse, zone);
    perform internal.read_stamps(options);

    create temp table if not exists judged_balance (
        line int, nomenclature_id int, warehouse_id int, period_start timestamptz, period_end timestamptz,
        opening numeric, incoming numeric, outgoing numeric, closing numeric, storage_days numeric, reason text, column_name text
    ) on commit drop;
    truncate pg_temp.judged_balance;

    insert into pg_temp.judged_balance
    with parsed as materialized (
        select r.line, a.nomenclature_id, w.id as warehouse_id, s.at as period_start, s.problem as start_problem,
            e.at as period_end, e.problem as end_problem, r.period_end is null as has_no_period,
            -- The last day counts in full: a period ends at the midnight after it.
            case when r.period_end !~ ':' then interval '1 day' else interval '0' end as last_day,
            case when r.unit is null then 1 else internal.unit_factor(r.unit) end as factor,
            internal.read_number(r.opening, decimal_mark) as opening,
            internal.read_number(r.incoming, decimal_mark) as incoming,
            internal.read_number(r.outgoing, decimal_mark) as outgoing,
            internal.read_number(r.closing, decimal_mark) as closing,
            internal.read_number(r.storage_days, decimal_mark) as storage_days
        from staging.row as r
        left join core.nomenclature_alias as a on a.raw_name = r.item and a.raw_type = coalesce(r.product_type, '')
        left join core.warehouses as w on w.name = coalesce(internal.normalize_name(r.warehouse), default_warehouse)
        left join staging.stamp as s on s.value = r.period_start
        left join staging.stamp as e on e.value = r.period_end
    ), dated as materialized (
        select p.*,
            case when zone is null then p.period_end + p.last_day
                else ((p.period_end at time zone zone) + p.last_day) at time zone zone end as ends_at
        from parsed as p
    ), begun as (
        select d.*,
            coalesce(d.period_start, case when d.storage_days <> 'NaN' then
                case when zone is null then d.ends_at - d.storage_days * interval '1 day'
                    else ((d.ends_at at time zone zone) - d.storage_days * interval '1 day') at time zone zone end end) as starts_at
        from dated as d
    )
    select b.line, b.nomenclature_id, b.warehouse_id, b.starts_at, b.ends_at,
        b.opening * b.factor, b.incoming * b.factor, b.outgoing * b.factor, b.closing * b.factor, nullif(b.storage_days, 'NaN'),
        case
            when b.nomenclature_id is null then 'missing_item'
            when b.start_problem is not null then b.start_problem
            when b.end_problem is not null then b.end_problem
            when b.has_no_period or b.starts_at is null then 'missing_period'
            when b.ends_at <= b.starts_at then 'period_reversed'
            when b.factor is null then 'unit_not_mass'
            when 'NaN' in (b.opening, b.incoming, b.outgoing, b.closing) then 'not_a_number'
            when b.opening is null and b.incoming is null and b.outgoing is null and b.closing is null then 'missing_quantity'
            when greatest(abs(b.opening), abs(b.incoming), abs(b.outgoing), abs(b.closing)) > 99999999999 then 'too_large'
        end,
        case
            when b.nomenclature_id is null then 'item'
            when b.start_problem is not null then 'period_start'
            when b.end_problem is not null or b.has_no_period then 'period_end'
            when b.factor is null then 'unit'
            when b.opening = 'NaN' then 'opening'
            when b.incoming = 'NaN' then 'incoming'
            when b.outgoing = 'NaN' then 'outgoing'
            when b.closing = 'NaN' then 'closing'
        end
    from begun as b;

    select count(*), count(*) filter (where j.reason is null) into result.read_count, candidate_count
    from pg_temp.judged_balance as j;

    insert into core.stock_balances as m
        (source_data_id, nomenclature_id, warehouse_id, period_start, period_end, opening_kg, incoming_kg, outgoing_kg, closing_kg,
            storage_days, is_detailed, line)
    select distinct on (j.nomenclature_id, j.warehouse_id, j.period_start, j.period_end)
        accept_balances.source_data_id, j.nomenclature_id, j.warehouse_id, j.period_start, j.period_end,
        j.opening, coalesce(j.incoming, 0), coalesce(j.outgoing, 0), j.closing, j.storage_days, false, j.line
    from pg_temp.judged_balance as j
    where j.reason is null
    order by j.nomenclature_id, j.warehouse_id, j.period_start, j.period_end, j.line
    on conflict (nomenclature_id, warehouse_id, period_start, period_end, is_detailed) do update
        set source_data_id = excluded.source_data_id, opening_kg = excluded.opening_kg, incoming_kg = excluded.incoming_kg,
            outgoing_kg = excluded.outgoing_kg, closing_kg = excluded.closing_kg, storage_days = excluded.storage_days, line = excluded.line
        where on_conflict = 'update'
          and (m.opening_kg, m.incoming_kg, m.outgoing_kg, m.closing_kg)
              is distinct from (excluded.opening_kg, excluded.incoming_kg, excluded.outgoing_kg, excluded.closing_kg);
    get diagnostics result.loaded_count = row_count;

    if on_conflict <> 'update' then
        update pg_temp.judged_balance as j set reason = 'conflict', column_name = 'closing'
        from core.stock_balances as m
        where j.reason is null and m.nomenclature_id = j.nomenclature_id and m.warehouse_id = j.warehouse_id
          and m.period_start = j.period_start and m.period_end = j.period_end and not m.is_detailed
          and (m.source_data_id, m.line) <> (accept_balances.source_data_id, j.line)
          and (m.opening_kg, m.incoming_kg, m.outgoing_kg, m.closing_kg)
              is distinct from (round(j.opening, 3), round(coalesce(j.incoming, 0), 3), round(coalesce(j.outgoing, 0), 3), round(j.closing, 3));
        if on_conflict = 'fail' then
            select j.line into offending from pg_temp.judged_balance as j where j.reason = 'conflict' order by j.line limit 1;
            if found then
                raise exception 'line % has other balances than stored for the same product and period', offending.line
                    using errcode = '23505', hint = 'Use --on-conflict skip or update.';
            end if;
        end if;
    end if;

    create temp table if not exists judged (line int, reason text, column_name text) on commit drop;
    truncate pg_temp.judged;
    insert into pg_temp.judged (line, reason, column_name)
    select j.line, j.reason, j.column_name from pg_temp.judged_balance as j where j.reason is not null;
    result.rejected_count := internal.record_rejects(accept_balances.source_data_id);
    perform internal.note_period(accept_balances.source_data_id, min(j.period_start), max(j.period_end))
    from pg_temp.judged_balance as j where j.reason is null;
    result.duplicate_count := result.read_count - result.loaded_count - result.rejected_count;
    return result;
end
$$;

comment on function internal.accept_balances(int, jsonb) is
'Gives every staging row of flat balances its verdict, and stores the good ones.

options: time_zone, date_format, decimal, dst, warehouse, period_start, period_end, on_conflict. A period ends at the midnight
after its last day; without a start it begins storage_days earlier. Raises 22007 when nothing says the period.';
