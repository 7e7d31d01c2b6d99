create or replace view bi.first_look as
select s.upload_date as time, s.id as import_id, s.file_name, s.layout, count(distinct d.nomenclature_id) as item_count,
    count(d.id) as period_count, count(d.id) filter (where d.mode = 'counted') as counted_count, count(d.id) filter (where d.mode = 'posted') as posted_count,
    count(d.id) filter (where d.mode = 'open') as open_count, sum(d.inventory_shrinkage_total)::float8 as shortage_kg,
    sum(d.surplus_kg)::float8 as surplus_kg,
    100 * sum(d.inventory_shrinkage_total)::float8
        / nullif(sum(d.initial_balance + d.incoming + d.surplus_applied_kg) filter (where d.inventory_shrinkage_total is not null), 0)::float8
        as shortage_percent_of_available,
    count(d.id) filter (where d.manual_review_required) as review_count, s.rejected_count, s.quality_score
from core.source_data as s
left join core.calculation_data as d on d.source_data_id = s.id
where s.undone_at is null and s.layout <> 'dataset'
group by s.id;

comment on view bi.first_look is
'What a file brought: the periods its rows closed, counted or posted, what was short and over, and how much a person must look at.

Percent by type: bi.shrinkage_by_type; what drying does not explain: bi.unexplained_largest; how well curves forecast: bi.fit_holdout.';
comment on column bi.first_look.time is 'When the file was imported.';
comment on column bi.first_look.import_id is 'Number of the import.';
comment on column bi.first_look.file_name is 'Name of the file.';
comment on column bi.first_look.layout is 'balances, movements or statement.';
comment on column bi.first_look.item_count is 'Products with a period of this file.';
comment on column bi.first_look.period_count is 'Inventory periods whose count, or last movement, stands in this file.';
comment on column bi.first_look.counted_count is 'Of these, the closing balance is the count.';
comment on column bi.first_look.posted_count is 'Of these, the stock-take is a document.';
comment on column bi.first_look.open_count is 'Of these, not counted yet.';
comment on column bi.first_look.shortage_kg is 'Missing at counts, kg; NULL where it cannot be told.';
comment on column bi.first_look.surplus_kg is 'Too much at counts, kg.';
comment on column bi.first_look.shortage_percent_of_available is 'Shortage in percent of opening plus incoming.';
comment on column bi.first_look.review_count is 'Periods a person should look at.';
comment on column bi.first_look.rejected_count is 'Rows that were not accepted.';
comment on column bi.first_look.quality_score is 'Share of the mass in clean periods, 0 to 1; NULL before accounting.';
