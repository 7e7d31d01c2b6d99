create or replace view bi.dim_item as
select n.id as item_id, n.name as item, n.product_type, n.product_type_code, n.item_group, n.unit, n.created_date as first_seen
from core.nomenclature as n;
comment on view bi.dim_item is 'Which products there are.';
comment on column bi.dim_item.item_id is 'Key of the product.';
comment on column bi.dim_item.item is 'Name, as first seen.';
comment on column bi.dim_item.product_type is 'Product type; unknown where no rule tells.';
comment on column bi.dim_item.product_type_code is 'Code of the type.';
comment on column bi.dim_item.item_group is 'Group the file put it in; NULL = none.';
comment on column bi.dim_item.unit is 'Unit of mass.';
comment on column bi.dim_item.first_seen is 'When the first file named it.';

create or replace view bi.dim_store as
select w.id as store_id, w.name as store, w.time_zone from core.warehouses as w;
comment on view bi.dim_store is 'Which warehouses and branches there are.';
comment on column bi.dim_store.store_id is 'Key of the warehouse.';
comment on column bi.dim_store.store is 'Name.';
comment on column bi.dim_store.time_zone is 'Zone of its calendar days.';

create or replace view bi.dim_date as
select d.day::date as date, extract(isoyear from d.day)::int as iso_year, extract(week from d.day)::int as iso_week,
    extract(year from d.day)::int as year, extract(quarter from d.day)::int as quarter, extract(month from d.day)::int as month,
    extract(isodow from d.day)::int as weekday
from generate_series(
    (select date_trunc('year', min(c.inventory_period_start)) from core.calculation_data as c),
    (select date_trunc('year', max(c.calculation_date)) + interval '2 years' - interval '1 day' from core.calculation_data as c),
    interval '1 day'
) as d (day);
comment on view bi.dim_date is 'The days from the first year with data to the end of the year after the last.';
comment on column bi.dim_date.date is 'The day.';
comment on column bi.dim_date.iso_year is 'Year of the ISO week.';
comment on column bi.dim_date.iso_week is 'ISO week, 1 to 53.';
comment on column bi.dim_date.year is 'Calendar year.';
comment on column bi.dim_date.quarter is 'Quarter, 1 to 4.';
comment on column bi.dim_date.month is 'Month, 1 to 12.';
comment on column bi.dim_date.weekday is 'Weekday, 1 = Monday.';
