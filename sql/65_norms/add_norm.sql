create function api.add_norm(
    product_group text, kind text, storage_mode text, steps jsonb, matched_by text default 'type', match_key text default null,
    climate_group int default null, store_group text default null, season text default null, packaging text default null,
    temperature_from float8 default null, temperature_to float8 default null, valid_from date default null, valid_to date default null,
    half_day boolean default false, document text default null
)
returns int
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    months int[] := internal.read_season(season);
    wrong record;
    new_id int;
begin
    if season is not null and internal.normalize_name(season) is not null and months is null then
        raise exception 'unknown season "%"', season
            using errcode = '22023', hint = 'Give a month (7), months (10-3), a quarter (Q2) or winter, spring, summer, autumn.';
    end if;
    if jsonb_typeof(steps) = 'number' then
        steps := jsonb_build_array(jsonb_build_object('percent', steps));
    end if;
    if steps is null or jsonb_typeof(steps) <> 'array' or jsonb_array_length(steps) = 0
        or exists (
            select from jsonb_array_elements(steps) as s (step)
            where jsonb_typeof(s.step) <> 'object'
               or exists (
                   select from jsonb_each(case when jsonb_typeof(s.step) = 'object' then s.step else '{}' end) as k (name, given)
                   where k.name not in ('from', 'to', 'percent', 'add_per_day') or jsonb_typeof(k.given) not in ('number', 'null')
               )
        )
    then
        raise exception 'steps are neither one percent nor an array of steps'
            using errcode = '22023', hint = 'As 0.4, or as [{"to": 1, "percent": 0}, {"to": 3, "percent": 0.08}, {"to": 10, "add_per_day": 0.01}].';
    end if;

    perform internal.open_norm_rows();
    insert into pg_temp.norm_row
        (line, product_group, matched_by, match_key, kind, storage_mode, climate_group, store_group, month_from, month_to, packaging,
            temperature_from, temperature_to, valid_from, valid_to, half_day, step_from, step_to, percent, add_per_day, document)
    select s.place, internal.normalize_name(add_norm.product_group), add_norm.matched_by, internal.normalize_name(add_norm.match_key),
        add_norm.kind, add_norm.storage_mode, add_norm.climate_group, internal.normalize_name(add_norm.store_group), months[1], months[2],
        internal.normalize_name(add_norm.packaging), add_norm.temperature_from, add_norm.temperature_to, add_norm.valid_from, add_norm.valid_to,
        add_norm.half_day, (s.step ->> 'from')::numeric, (s.step ->> 'to')::numeric, (s.step ->> 'percent')::numeric,
        (s.step ->> 'add_per_day')::numeric, internal.normalize_name(add_norm.document)
    from jsonb_array_elements(steps) with ordinality as s (step, place);

    perform internal.judge_norms();
    perform internal.store_norms(null);
    select r.reason, r.column_name, r.line into wrong
    from pg_temp.norm_row as r where r.reason is not null order by r.reason = 'rejected_with_norm', r.line limit 1;
    if wrong.reason = 'validity_overlap' then
        raise exception 'another norm for % holds at the same place on these days', product_group
            using errcode = '23P01', hint = 'End that one first (api.end_norm; bi.norm lists them), or choose other days.';
    elsif wrong.reason is not null then
        raise exception '%', internal.reject_description(wrong.reason)
            using errcode = '22023',
                  hint = case when wrong.column_name in ('step_from', 'step_to', 'percent', 'add_per_day')
                      then format('Look at %s of step %s.', wrong.column_name, wrong.line) else format('Look at %s.', wrong.column_name) end;
    end if;
    select r.norm_id into new_id from pg_temp.norm_row as r limit 1;
    return new_id;
end
$$;

comment on function api.add_norm(
    text, text, text, jsonb, text, text, int, text, text, text, float8, float8, date, date, boolean, text
) is
'Enters a norm of natural loss; returns its id. The same norm again is the same id.

kind: turnover (percent of turnover), stepped (percent of turnover by days of storage), monthly (percent of the average stock for a
month), transport (percent by km). storage_mode: warehouse, retail, refrigerator, transport. steps: one percent, or an array of
{"from", "to", "percent", "add_per_day"}, days (months, km) with both ends; from may be left out. A step with add_per_day alone goes on
from where the one before has come to. matched_by tells how products are found by match_key (NULL = product_group): type, group (of
the file), name (a regular expression over the normalised name), product. NULL = any for climate_group (1 to 3), store_group,
season (7, 10-3, Q2, winter), packaging, temperature (C, upper end exclusive) and for both ends of the validity; a norm that says more
goes before one that says less. half_day: perishable goods, a term of up to half a day counts as 0.5.
Raises 22023 for what cannot be, a gap or overlap of steps among it, 23P01 where another norm holds for the same goods, place and days.
Example: select api.add_norm(''frozen'', ''stepped'', ''warehouse'',
''[{"to": 1, "percent": 0}, {"to": 2, "percent": 0.05}, {"to": 3, "percent": 0.08}, {"to": 10, "add_per_day": 0.01}]'', climate_group => 1);';
