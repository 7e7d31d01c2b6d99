create or replace view bi.norm_item as
select m.norm_id, m.item_id, m.item, m.product_type, m.matched_by
from (
    select n.id as norm_id, i.id as item_id, i.name as item, i.product_type, n.matched_by
    from core.norms as n
    inner join core.nomenclature as i on i.name_key = n.match_key
    where n.matched_by = 'product'
    union all
    select n.id as norm_id, i.id as item_id, i.name as item, i.product_type, n.matched_by
    from (
        select distinct p.match_key from core.norms as p where p.matched_by = 'name'
    ) as k
    -- One pattern after the other: more than 32 in turn are compiled anew each time.
    cross join lateral (
        select j.id, j.name, j.product_type from core.nomenclature as j where j.name_key ~* k.match_key
        limit all offset 0 -- noqa: AM09
    ) as i
    inner join core.norms as n on n.matched_by = 'name' and n.match_key = k.match_key
    union all
    select n.id as norm_id, i.id as item_id, i.name as item, i.product_type, n.matched_by
    from core.norms as n
    inner join core.nomenclature as i on lower(i.item_group) = n.match_key
    where n.matched_by = 'group'
    union all
    select n.id as norm_id, i.id as item_id, i.name as item, i.product_type, n.matched_by
    from core.norms as n
    inner join core.nomenclature as i on i.product_type = n.match_key
    where n.matched_by = 'type'
) as m;

comment on view bi.norm_item is 'Which products each norm of natural loss is for; of several the closest counts: product, name, group, type.';
comment on column bi.norm_item.norm_id is 'Key of the norm (bi.norm).';
comment on column bi.norm_item.item_id is 'Key of the product (bi.dim_item).';
comment on column bi.norm_item.item is 'Name of the product.';
comment on column bi.norm_item.product_type is 'Product type.';
comment on column bi.norm_item.matched_by is 'How it was found: product, name, group or type.';

create or replace view bi.norm as
select n.id as norm_id, n.product_group, n.matched_by, n.match_key, n.kind, n.storage_mode, n.climate_group, n.store_group, n.month_from,
    n.month_to, n.packaging, n.temperature_from::float8 as temperature_from, n.temperature_to::float8 as temperature_to, n.valid_from,
    n.valid_to, n.half_day as is_half_day, row_number() over (partition by n.id order by s.step_above)::int as step,
    s.step_above::float8 as step_above, s.step_to::float8 as step_to,
    case n.kind when 'monthly' then 'months' when 'transport' then 'km' else 'days' end as step_unit,
    bi.step_percent(s.percent, s.add_per_day, s.step_above, s.step_to, s.step_above + least(1, coalesce(s.step_to - s.step_above, 1)))::float8
    as percent_first,
    case when s.add_per_day = 0 or s.step_to is not null
        then bi.step_percent(s.percent, s.add_per_day, s.step_above, s.step_to, s.step_to)::float8 end as percent_last,
    s.add_per_day::float8 as add_per_day, n.document, coalesce(k.item_count, 0) as item_count, f.file_name, n.line, n.created_date as time
from core.norms as n
inner join core.norm_steps as s on s.norm_id = n.id
left join core.source_data as f on f.id = n.source_data_id
left join (
    select i.norm_id, count(*) as item_count from bi.norm_item as i group by i.norm_id
) as k on k.norm_id = n.id;

comment on view bi.norm is 'The norms of natural loss, one row a step.';
comment on column bi.norm.norm_id is 'Key of the norm.';
comment on column bi.norm.product_group is 'What it is for, as its table words it.';
comment on column bi.norm.matched_by is 'How products are found: product, name, group or type.';
comment on column bi.norm.match_key is 'What is compared with the product.';
comment on column bi.norm.kind is 'turnover, stepped, monthly or transport: what the percent is of.';
comment on column bi.norm.storage_mode is 'warehouse, retail, refrigerator or transport.';
comment on column bi.norm.climate_group is 'Climate group; NULL = any.';
comment on column bi.norm.store_group is 'Group of stores; NULL = any.';
comment on column bi.norm.month_from is 'First month of the season; NULL = the whole year.';
comment on column bi.norm.month_to is 'Last month of the season; NULL = the whole year.';
comment on column bi.norm.packaging is 'Packaging; NULL = any.';
comment on column bi.norm.temperature_from is 'Lower end of the temperature band, C, inclusive; NULL = none.';
comment on column bi.norm.temperature_to is 'Upper end of the temperature band, C, exclusive; NULL = none.';
comment on column bi.norm.valid_from is 'First day in force; NULL = since ever.';
comment on column bi.norm.valid_to is 'Last day in force; NULL = open.';
comment on column bi.norm.is_half_day is 'Whether terms of half a day count.';
comment on column bi.norm.step is 'Number of the step, from 1.';
comment on column bi.norm.step_above is 'Where the step begins, exclusive.';
comment on column bi.norm.step_to is 'Where it ends, inclusive; NULL = goes on.';
comment on column bi.norm.step_unit is 'Unit of both: days, months or km.';
comment on column bi.norm.percent_first is 'Percent on the first day (month, km) of the step.';
comment on column bi.norm.percent_last is 'Percent on the last; NULL = grows without end.';
comment on column bi.norm.add_per_day is 'What each day adds, percent.';
comment on column bi.norm.document is 'The order it is from; NULL = not said.';
comment on column bi.norm.item_count is 'How many products it is for; 0 = it matches none.';
comment on column bi.norm.file_name is 'The file it came with; NULL = entered by hand.';
comment on column bi.norm.line is 'Line of its first step in the file.';
comment on column bi.norm.time is 'When it was entered.';
