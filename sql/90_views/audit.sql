create or replace view bi.audit as
select l.at as time, l.id as change_id, l.by_role, l.acting_role, l.table_name, l.action, bi.change_text(l.action, l.before, l.after, l.row_count) as changed,
    n.id as item_id, n.name as item, l.row_count, l.reason, l.application_name, l.transaction_id,
    bi.change_text('insert', null, l.key, 0) as row_key
from core.audit_log as l
left join core.nomenclature as n
    on n.id = (coalesce(l.before, l.after) ->> case when l.table_name = 'nomenclature' then 'id' else 'nomenclature_id' end)::int;

comment on view bi.audit is 'Who changed which fact, coefficient, rule or setting, when, from what to what; rows are only ever added.';
comment on column bi.audit.time is 'When.';
comment on column bi.audit.change_id is 'Key.';
comment on column bi.audit.by_role is 'Database role that logged in.';
comment on column bi.audit.acting_role is 'Role it acted as.';
comment on column bi.audit.table_name is 'Table of core.';
comment on column bi.audit.action is 'insert, update or delete.';
comment on column bi.audit.changed is
'What changed, column by column: "coefficient_a: 0.14 -> 0.15"; of a new or deleted row its values; of many rows how many.';
comment on column bi.audit.item_id is 'Key of the product (bi.dim_item); NULL = the row concerns none, or it is gone.';
comment on column bi.audit.item is 'Name of the product.';
comment on column bi.audit.row_count is 'Rows it stands for: 1, or those that were deleted as one (an import taken back).';
comment on column bi.audit.reason is 'Why, as the caller said; NULL = not said.';
comment on column bi.audit.application_name is 'Program that was connected.';
comment on column bi.audit.transaction_id is 'Transaction: changes with the same number belong together.';
comment on column bi.audit.row_key is 'Key of the row: "id: 7"; NULL = many rows.';
