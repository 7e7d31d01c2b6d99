create or replace view bi.pattern as
select p.discovery_date as time, p.id as pattern_id, p.pattern_type, p.subtype, n.id as item_id, n.name as item, n.product_type,
    o.id as other_item_id, o.name as other_item, w.id as warehouse_id, w.name as warehouse, p.description,
    p.confidence_level as confidence, p.period_start, p.period_end, p.status, p.closed_at, p.decided_by, p.notes
from core.ai_patterns as p
left join core.nomenclature as n on n.id = p.affected_nomenclature[1]
left join core.nomenclature as o on o.id = p.affected_nomenclature[2]
left join core.warehouses as w on w.id = p.warehouse_id;

comment on view bi.pattern is
'What stands out in the data (api.find_patterns): anomalies, trends, seasons, correlations, changes of level, pairs that may have been mixed up.';
comment on column bi.pattern.time is 'When it was first found.';
comment on column bi.pattern.pattern_id is 'Key, for api.close_pattern and api.accept_pattern.';
comment on column bi.pattern.pattern_type is 'anomaly, trend, seasonality or correlation.';
comment on column bi.pattern.subtype is
'anomaly: rate, level_shift, misgrading; trend: rising, falling; seasonality: month; correlation: temperature, humidity.';
comment on column bi.pattern.item_id is 'Key of the product (bi.dim_item); of a mis-grading the one that is short; NULL = all.';
comment on column bi.pattern.item is 'Name of the product.';
comment on column bi.pattern.product_type is 'Product type.';
comment on column bi.pattern.other_item_id is 'Of a mis-grading: key of the product that is over; else NULL.';
comment on column bi.pattern.other_item is 'Of a mis-grading: name of the product that is over; else NULL.';
comment on column bi.pattern.warehouse_id is 'Key of the warehouse (bi.dim_store); NULL = all.';
comment on column bi.pattern.warehouse is 'Name of the warehouse.';
comment on column bi.pattern.description is 'What was found, in words; masses in kg, rates in percent a day.';
comment on column bi.pattern.confidence is
'0 to 1. 1 - p of the test; anomaly, change of level: share of random repeats that bear it out; mis-grading: chance that no other shortage fits.';
comment on column bi.pattern.period_start is 'Start of the data it is about; of a change of level the first count of the new one.';
comment on column bi.pattern.period_end is 'End of the data it is about; NULL = lasting.';
comment on column bi.pattern.status is 'open; closed (by a person, or no longer seen); accepted.';
comment on column bi.pattern.closed_at is 'When it was closed or accepted; NULL while open.';
comment on column bi.pattern.decided_by is 'Who closed or accepted it; NULL = nobody.';
comment on column bi.pattern.notes is 'Remarks of whoever decided; NULL = none.';
