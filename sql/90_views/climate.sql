create or replace view bi.climate as
select c.time, w.id as warehouse_id, w.name as warehouse, c.temperature_c, c.humidity_percent
from core.climate_readings as c
inner join core.warehouses as w on w.id = c.warehouse_id;

comment on view bi.climate is 'What the air in the warehouses was like.';
comment on column bi.climate.time is 'When it was read.';
comment on column bi.climate.warehouse_id is 'Key of the warehouse (bi.dim_store).';
comment on column bi.climate.warehouse is 'Name of the warehouse.';
comment on column bi.climate.temperature_c is 'Temperature, degrees Celsius; NULL = not read.';
comment on column bi.climate.humidity_percent is 'Relative humidity, percent; NULL = not read.';
