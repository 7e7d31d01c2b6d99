create function api.check_facts()
returns table (problem text, detail text)
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
    select 'movement without product', format('%s rows of nomenclature_id %s', count(*), m.nomenclature_id)
    from core.stock_movements as m
    where not exists (select from core.nomenclature as n where n.id = m.nomenclature_id)
    group by m.nomenclature_id
    union all
    select 'movement without warehouse', format('%s rows of warehouse_id %s', count(*), m.warehouse_id)
    from core.stock_movements as m
    where not exists (select from core.warehouses as w where w.id = m.warehouse_id)
    group by m.warehouse_id
    union all
    select 'movement without file', format('%s rows of source_data_id %s', count(*), m.source_data_id)
    from core.stock_movements as m
    where not exists (select from core.source_data as s where s.id = m.source_data_id and s.undone_at is null)
    group by m.source_data_id
    union all
    select 'coefficient of a period that is gone', format('coefficient %s', k.id)
    from core.coefficients as k
    where k.calculation_data_id is not null and not exists (
        select from core.calculation_data as c where c.id = k.calculation_data_id and c.calculation_date = k.calculation_data_date
    )
    union all
    select 'flag of a period that is gone', format('validation error %s', e.id)
    from core.validation_errors as e
    where e.calculation_data_id is not null and not exists (
        select from core.calculation_data as c where c.id = e.calculation_data_id and c.calculation_date = e.calculation_date
    );
end;

comment on function api.check_facts() is
'Lists references that point nowhere; empty is good.

Hypertables carry no foreign keys (their cost, and defects of keys to a hypertable), so this looks instead.
Example: select * from api.check_facts();';
