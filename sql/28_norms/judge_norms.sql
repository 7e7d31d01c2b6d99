create function internal.open_norm_rows()
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    create temp table if not exists norm_row (
        line int, number bigint, product_group text, matched_by text, match_key text, kind text, storage_mode text, climate_group int,
        store_group text, month_from int, month_to int, packaging text, temperature_from numeric, temperature_to numeric, valid_from date,
        valid_to date, half_day boolean, step_from numeric, step_to numeric, percent numeric, add_per_day numeric, document text,
        step_above numeric, base_percent numeric, norm_id int, is_duplicate boolean not null default false, reason text, column_name text
    ) on commit drop;
    truncate pg_temp.norm_row;
end
$$;

comment on function internal.open_norm_rows() is
'Makes room for the rows of norms to be judged: pg_temp.norm_row, one row a step, values read.';

create function internal.judge_norms()
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    pattern record;
begin
    update pg_temp.norm_row as r
    set add_per_day = coalesce(r.add_per_day, 0), half_day = coalesce(r.half_day, false), matched_by = coalesce(r.matched_by, 'type'),
        match_key = case r.matched_by
            when 'name' then coalesce(r.match_key, r.product_group)
            when 'product' then internal.name_key(coalesce(r.match_key, r.product_group))
            else lower(internal.normalize_name(coalesce(r.match_key, r.product_group)))
        end;

    -- Each row for itself; the first thing wrong with it counts.
    update pg_temp.norm_row as r
    set reason = v.reason, column_name = v.column_name
    from pg_temp.norm_row as j
    cross join lateral (
        select w.reason, w.column_name
        from (values
            (j.product_group is null or j.match_key is null, 'missing_group', 'product_group'),
            (length(j.match_key) > 500, 'too_long', 'product_group'),
            (j.matched_by not in ('product', 'name', 'group', 'type'), 'unknown_match', 'matched_by'),
            (j.kind is null or j.kind not in ('turnover', 'stepped', 'monthly', 'transport'), 'unknown_kind', 'kind'),
            (j.storage_mode is null or j.storage_mode not in ('warehouse', 'retail', 'refrigerator', 'transport'),
                'unknown_storage_mode', 'storage_mode'),
            ((j.kind = 'transport') <> (j.storage_mode = 'transport'), 'transport_mismatch', 'kind'),
            (j.climate_group not between 1 and 3, 'unknown_climate_group', 'climate_group'),
            (not 'NaN' > j.temperature_from or j.temperature_from not between -273 and 200, 'bad_temperature', 'temperature_from'),
            (not 'NaN' > j.temperature_to or j.temperature_to not between -273 and 200 or j.temperature_to <= j.temperature_from,
                'bad_temperature', 'temperature_to'),
            (j.valid_to < j.valid_from, 'period_reversed', 'valid_to'),
            (not abs(j.step_from) < 'NaN', 'not_a_number', 'step_from'),
            (not abs(j.step_to) < 'NaN', 'not_a_number', 'step_to'),
            (j.step_from < 0, 'bad_step', 'step_from'),
            (j.step_to <= 0 or j.step_to < j.step_from or j.step_to > 9999999, 'bad_step', 'step_to'),
            (not abs(j.percent) < 'NaN', 'not_a_number', 'percent'),
            (not abs(j.add_per_day) < 'NaN', 'not_a_number', 'add_per_day'),
            (j.percent < 0, 'negative_percent', 'percent'),
            (j.add_per_day < 0, 'negative_percent', 'add_per_day'),
            (j.percent > 100, 'percent_over_100', 'percent'),
            (j.add_per_day > 100, 'percent_over_100', 'add_per_day'),
            (j.percent is null and j.add_per_day = 0, 'missing_percent', 'percent')
        ) as w (is_wrong, reason, column_name)
        where w.is_wrong
        limit 1
    ) as v
    where j.reason is null and r.line = j.line;

    for pattern in select distinct r.match_key from pg_temp.norm_row as r where r.matched_by = 'name' and r.reason is null loop
        begin
            perform '' ~* pattern.match_key;
        exception when invalid_regular_expression then
            update pg_temp.norm_row as r set reason = 'bad_pattern', column_name = 'product_group'
            where r.matched_by = 'name' and r.match_key = pattern.match_key and r.reason is null;
        end;
    end loop;

    update pg_temp.norm_row as r
    set number = n.number, is_duplicate = n.copy > 1
    from (
        select j.line, j.norm_number as number, row_number() over (
                partition by j.norm_number, j.step_from, j.step_to, j.percent, j.add_per_day order by j.line
            ) as copy
        from (
            select k.*, dense_rank() over (
                    order by k.matched_by, k.match_key, k.kind, k.storage_mode, k.climate_group, k.store_group, k.month_from, k.month_to,
                        k.packaging, k.temperature_from, k.temperature_to, k.valid_from, k.valid_to, k.half_day,
                        -- What could not be read is no "any".
                        case when k.column_name not in ('step_from', 'step_to', 'percent', 'add_per_day') then k.reason end
                ) as norm_number
            from pg_temp.norm_row as k
        ) as j
    ) as n
    where n.line = r.line;

    -- A row that cannot be placed may be the step that another norm is missing: that norm would be stored without it.
    update pg_temp.norm_row as r
    set reason = 'rejected_with_norm', column_name = null
    from pg_temp.norm_row as b
    where b.reason is not null and r.reason is null and r.product_group is not distinct from b.product_group and r.number <> b.number
      and (b.column_name in ('matched_by', 'product_group') or r.matched_by = b.matched_by)
      and (b.column_name = 'kind' or r.kind = b.kind)
      and (b.column_name in ('storage_mode', 'kind') or r.storage_mode = b.storage_mode)
      and (b.column_name = 'climate_group' or r.climate_group is not distinct from b.climate_group)
      and (b.column_name = 'season' or (r.month_from, r.month_to) is not distinct from (b.month_from, b.month_to))
      and (b.column_name like 'temperature%'
          or (r.temperature_from, r.temperature_to) is not distinct from (b.temperature_from, b.temperature_to))
      and (b.column_name = 'valid_from' or r.valid_from is not distinct from b.valid_from)
      and (b.column_name = 'valid_to' or r.valid_to is not distinct from b.valid_to)
      and (b.column_name = 'half_day' or r.half_day is not distinct from b.half_day)
      and r.store_group is not distinct from b.store_group and r.packaging is not distinct from b.packaging
      and not exists (
          select from pg_temp.norm_row as s where s.number = r.number and s.step_to is not distinct from b.step_to
      );

    -- The steps of a norm, one after another: each begins where the one before ends.
    update pg_temp.norm_row as r
    set step_above = c.ends_before, base_percent = c.base, reason = c.reason, column_name = c.column_name
    from (
        select s.line, s.ends_before,
            case when s.percent is null then coalesce(s.grown, 0) else s.start end as base,
            case
                when s.kind = 'turnover' and (s.step_count > 1 or s.step_from > 0 or s.step_to is not null or s.add_per_day > 0)
                    then 'turnover_has_steps'
                when s.ends_before is null or s.step_to = s.ends_before then 'step_overlap'
                when s.step_from > s.ends_before + 1 then 'step_gap'
                when s.ends_before > 0 and s.step_from <= s.ends_before and not (s.kind = 'transport' and s.step_from = s.ends_before)
                    then 'step_overlap'
                when coalesce(case when s.percent is null then s.grown else s.start end, 0)
                    + s.add_per_day * coalesce(s.step_to - s.ends_before, 0) > 100 then 'percent_over_100'
            end as reason,
            case when s.kind = 'turnover' then 'step_to' else 'step_from' end as column_name
        from (
            -- A step without a percent of its own goes on from where the one before has come to.
            select g.*, count(*) over (partition by g.number) as step_count,
                max(g.start) over (partition by g.number, g.part)
                + coalesce(sum(g.add_per_day * (g.step_to - g.ends_before)) over (
                    partition by g.number, g.part order by g.place rows between unbounded preceding and 1 preceding
                ), 0) as grown
            from (
                select p.*, count(p.percent) over (partition by p.number order by p.place) as part,
                    coalesce(p.percent - p.add_per_day * least(1, coalesce(p.step_to - p.ends_before, 1)), case when p.place = 1 then 0 end) as start
                from (
                    select j.*, row_number() over by_end as place,
                        case when row_number() over by_end = 1 then 0 else lag(j.step_to) over by_end end as ends_before
                    from pg_temp.norm_row as j
                    where not j.is_duplicate
                      and not exists (select from pg_temp.norm_row as b where b.number = j.number and b.reason is not null)
                    window by_end as (partition by j.number order by j.step_to, j.step_from, j.line)
                ) as p
            ) as g
        ) as s
    ) as c
    where r.line = c.line;

    update pg_temp.norm_row as r
    set reason = 'rejected_with_norm', column_name = null
    where r.reason is null and exists (select from pg_temp.norm_row as b where b.number = r.number and b.reason is not null);
end
$$;

comment on function internal.judge_norms() is
'Gives the rows in pg_temp.norm_row their verdict: reason and column_name, NULL = good. Numbers the norms they make up, and works
out where each step begins and from which percent.

One norm is all rows that agree in everything but steps. Where one of its rows is wrong, or its steps leave a gap or overlap, all
of it is rejected: the row at fault with the reason, the others with rejected_with_norm.';
