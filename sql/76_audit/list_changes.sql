create function api.list_changes(
    table_name text default null, item text default null, by_role text default null, action text default null,
    from_time timestamptz default null, to_time timestamptz default null, page_size int default 50, after text default null
)
returns table (
    at timestamptz, change_id bigint, table_name text, row_key text, action text, changed text, item_id int, item text, by_role text, acting_role text,
    reason text, application_name text, transaction_id bigint, row_count bigint, cursor text
)
language sql stable
begin atomic
    select l.at, l.id, l.table_name, bi.change_text('insert', null, l.key, 0), l.action,
        bi.change_text(l.action, l.before, l.after, l.row_count), n.id as item_id, n.name as item, l.by_role, l.acting_role,
        l.reason, l.application_name, l.transaction_id, l.row_count, internal.cursor(l.at, l.id)
    from core.audit_log as l
    cross join lateral (
        select (coalesce(l.before, l.after) ->> case when l.table_name = 'nomenclature' then 'id' else 'nomenclature_id' end)::int as id
    ) as i
    left join core.nomenclature as n on n.id = i.id
    where (list_changes.table_name is null or l.table_name = list_changes.table_name)
      and (list_changes.item is null or i.id = (select internal.find_item(list_changes.item)))
      and (list_changes.by_role is null or l.by_role = list_changes.by_role)
      and (list_changes.action is null or l.action = (select internal.one_of(list_changes.action, '{insert,update,delete}', 'action')))
      and (list_changes.from_time is null or l.at >= list_changes.from_time)
      and (list_changes.to_time is null or l.at < list_changes.to_time)
      and (l.at, l.id) < (internal.cursor_time(list_changes.after), internal.cursor_number(list_changes.after, 2))
    order by l.at desc, l.id desc
    limit internal.page_size(list_changes.page_size);
end;

comment on function api.list_changes(text, text, text, text, timestamptz, timestamptz, int, text) is
'Pages through the audit trail, newest first: who changed which fact, coefficient, rule or setting, from what to what, why.

Filters NULL = any; item is NULL where a row concerns none. page_size 1 to 1000; after: the column cursor of the last row you have.
Raises 22023 for an unknown product, action or cursor. Example: select at, by_role, changed from api.list_changes(''settings'');';
