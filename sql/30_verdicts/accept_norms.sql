create function internal.accept_norms(source_data_id int, options jsonb default '{}')
returns internal.accepted
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    decimal_mark text := options ->> 'decimal';
    format text := options ->> 'date_format';
    result internal.accepted;
    offending record;
begin
    perform internal.open_norm_rows();

    insert into pg_temp.norm_row
        (line, product_group, matched_by, match_key, kind, storage_mode, climate_group, store_group, month_from, month_to, packaging,
            temperature_from, temperature_to, valid_from, valid_to, half_day, step_from, step_to, percent, add_per_day, document,
            reason, column_name)
    with cleaned as (
        select n.line, internal.normalize_name(n.product_group) as product_group, internal.normalize_name(n.match_key) as match_key,
            lower(internal.normalize_name(n.matched_by)) as matched_by, lower(internal.normalize_name(n.kind)) as kind,
            lower(internal.normalize_name(n.storage_mode)) as storage_mode, internal.read_number(n.climate_group, decimal_mark) as climate_group,
            internal.normalize_name(n.store_group) as store_group, internal.normalize_name(n.season) as season,
            internal.read_season(n.season) as months, internal.normalize_name(n.packaging) as packaging,
            internal.read_number(n.temperature_from, decimal_mark) as temperature_from,
            internal.read_number(n.temperature_to, decimal_mark) as temperature_to,
            internal.parse_timestamp(n.valid_from, format) as starts, internal.parse_timestamp(n.valid_to, format) as ends,
            lower(internal.normalize_name(n.half_day)) as half_day, internal.read_number(n.step_from, decimal_mark) as step_from,
            internal.read_number(n.step_to, decimal_mark) as step_to, internal.read_number(n.percent, decimal_mark) as percent,
            internal.read_number(n.add_per_day, decimal_mark) as add_per_day, internal.normalize_name(n.document) as document
        from staging.norm as n
    )
    select c.line, c.product_group,
        case c.matched_by
            when 'товар' then 'product' when 'название' then 'name' when 'наименование' then 'name' when 'группа' then 'group' when 'тип' then 'type'
            else c.matched_by
        end,
        c.match_key,
        case c.kind
            when 'оборот' then 'turnover' when 'от оборота' then 'turnover' when 'по дням' then 'stepped' when 'по срокам' then 'stepped'
            when 'в месяц' then 'monthly' when 'за месяц' then 'monthly' when 'перевозка' then 'transport'
            else c.kind
        end,
        case c.storage_mode
            when 'склад' then 'warehouse' when 'розница' then 'retail' when 'магазин' then 'retail' when 'холодильник' then 'refrigerator'
            when 'транспорт' then 'transport' when 'перевозка' then 'transport'
            else c.storage_mode
        end,
        case when c.climate_group in (1, 2, 3) then c.climate_group::int end, c.store_group, c.months[1], c.months[2], c.packaging,
        c.temperature_from, c.temperature_to, (c.starts).local_time::date, (c.ends).local_time::date,
        case when c.half_day in ('1', 'yes', 'true', 't', 'y', 'да') then true when c.half_day in ('0', 'no', 'false', 'f', 'n', 'нет', '-') then false end,
        c.step_from, c.step_to, c.percent, c.add_per_day, c.document,
        v.reason, v.column_name
    from cleaned as c
    left join lateral (
        select w.reason, w.column_name
        from (values
            (c.climate_group not in (1, 2, 3), 'unknown_climate_group', 'climate_group'),
            (c.season is not null and c.months is null, 'unknown_season', 'season'),
            ((c.starts).problem is not null, (c.starts).problem, 'valid_from'),
            ((c.ends).problem is not null, (c.ends).problem, 'valid_to'),
            (c.half_day is not null
                and c.half_day not in ('1', 'yes', 'true', 't', 'y', 'да', '0', 'no', 'false', 'f', 'n', 'нет', '-'), 'not_yes_or_no', 'half_day')
        ) as w (is_wrong, reason, column_name)
        where w.is_wrong
        limit 1
    ) as v on true;

    select r.line, case r.column_name when 'valid_from' then n.valid_from else n.valid_to end as value into offending
    from pg_temp.norm_row as r
    inner join staging.norm as n on n.line = r.line
    where r.reason = 'ambiguous_date' order by r.line limit 1;
    if found then
        raise exception 'the date "%" can be read in more than one way (line %)', offending.value, offending.line
            using errcode = '22007', hint = 'Say which with --date-format DMY, MDY or YMD.';
    end if;

    perform internal.judge_norms();
    perform internal.store_norms(accept_norms.source_data_id, coalesce(options ->> 'on_conflict', 'skip'));

    insert into core.validation_errors
        (error_type, severity_level, description, source_data_id, file_name, line, reason, column_name, staged)
    select 'validation_failure', 'high', internal.reject_description(r.reason), accept_norms.source_data_id, f.file_name, r.line, r.reason,
        r.column_name, jsonb_strip_nulls(to_jsonb(n))
    from pg_temp.norm_row as r
    inner join staging.norm as n on n.line = r.line
    inner join core.source_data as f on f.id = accept_norms.source_data_id
    where r.reason is not null
    order by r.line;

    select count(*), count(*) filter (where r.reason is null and not r.is_duplicate), count(*) filter (where r.reason is null and r.is_duplicate),
        count(*) filter (where r.reason is not null)
    into result.read_count, result.loaded_count, result.duplicate_count, result.rejected_count
    from pg_temp.norm_row as r;
    return result;
end
$$;

comment on function internal.accept_norms(int, jsonb) is
'Gives every staging row of a file of norms its verdict, and stores the norms that are whole.

options: decimal, date_format, on_conflict (skip, update, fail). A norm is stored with all its steps or rejected with all its rows.
Raises 22007 for a date that can be read in more than one way, 23P01 with on_conflict fail.';
