create or replace view bi.analytics as
with deployed as (
    select m.id, m.created_date from core.model_versions as m where m.model = 'shrinkage' and m.status = 'deployed'
), period as (
    select c.nomenclature_id, deployed.id as model_id, deployed.created_date, c.inventory_shrinkage_total::float8 as actual_kg,
        bi.expected_loss(k.family, k.coefficient_a, k.coefficient_b, k.coefficient_c, c.term_mass, c.term_age_from, c.term_age_to) as expected_kg,
        -- A count at midnight closes the day, and the month, before.
        date_trunc('month', (c.calculation_date - interval '1 second') at time zone w.time_zone)::date as month
    from deployed
    inner join core.coefficients as k on k.model_id = deployed.id and k.outcome <> 'failed'
    inner join core.calculation_data as c on c.nomenclature_id = k.nomenclature_id
    inner join core.warehouses as w on w.id = c.warehouse_id
    where c.mode <> 'open' and c.inventory_shrinkage_total is not null
)
select p.nomenclature_id, p.model_id,
    avg(greatest(0, 100 * (1 - abs(p.expected_kg - p.actual_kg) / p.actual_kg))) filter (where p.actual_kg > 0) as avg_accuracy,
    count(*) as total_calculations, p.month as period_start, (p.month + interval '1 month' - interval '1 day')::date as period_end,
    max(p.created_date) as last_updated
from period as p
group by p.nomenclature_id, p.model_id, p.month;

comment on view bi.analytics is
'How close the deployed curve of each product comes to its counts, by calendar month: one row a product, model and month.

In-sample: the curve was fitted on these very counts, so this says how well it describes them, not how well it forecasts.';
comment on column bi.analytics.nomenclature_id is 'Key of the product (bi.dim_item).';
comment on column bi.analytics.model_id is 'Key of the model version (bi.models).';
comment on column bi.analytics.avg_accuracy is
'Mean of 100 (1 - |expected - actual| / actual) over the counts that found a shortage, percent, each at least 0; NULL when none did. In-sample.';
comment on column bi.analytics.total_calculations is 'Closed inventory periods of the month.';
comment on column bi.analytics.period_start is 'First day of the month, in the zone of the warehouse.';
comment on column bi.analytics.period_end is 'Last day of the month.';
comment on column bi.analytics.last_updated is 'When the curve was fitted.';
