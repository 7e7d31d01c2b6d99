create function api.list_alerts(
    status text default null, severity text default null, model text default null, rule text default null, from_time timestamptz default null,
    to_time timestamptz default null, page_size int default 50, after text default null
)
returns table (
    at timestamptz, alert_id bigint, rule text, subject text, model text, version int, segment text, severity text, message text, value float8,
    threshold float8, status text, last_seen_at timestamptz, acknowledged_at timestamptz, acknowledged_by text, resolved_at timestamptz,
    resolved_by text, notes text, cursor text
)
language sql stable
begin atomic
    select a.raised_at, a.id, a.rule, a.subject, a.model, a.version, a.segment, a.severity, a.message, a.value, a.threshold, a.status, a.last_seen_at,
        a.acknowledged_at, a.acknowledged_by, a.resolved_at, a.resolved_by, a.notes, internal.cursor(a.raised_at, a.id)
    from core.alert as a
    where (list_alerts.status is null or a.status = (
        select internal.one_of(list_alerts.status, '{open,acknowledged,resolved}', 'status')
    ))
    and (list_alerts.severity is null or a.severity = (select internal.one_of(list_alerts.severity, '{warning,critical}', 'severity')))
    -- An alert outlives its model: any name is a question.
    and (list_alerts.model is null or a.model = list_alerts.model)
    and (list_alerts.rule is null or a.rule = (
        select internal.one_of(list_alerts.rule, (select array_agg(r.name order by r.name) from core.alert_rule as r), 'rule')
    ))
    and (list_alerts.from_time is null or a.raised_at >= list_alerts.from_time)
    and (list_alerts.to_time is null or a.raised_at < list_alerts.to_time)
    and (a.raised_at, a.id) < (internal.cursor_time(list_alerts.after), internal.cursor_number(list_alerts.after, 2))
    order by a.raised_at desc, a.id desc
    limit internal.page_size(list_alerts.page_size);
end;

comment on function api.list_alerts(text, text, text, text, timestamptz, timestamptz, int, text) is
'Pages through alerts, newest first; status open (nobody knows of it yet), acknowledged or resolved; those not over yet: bi.open_alerts.

Filters NULL = any; from_time inclusive, to_time exclusive, about when it was raised. page_size 1 to 1000; after: the column cursor of
the last row you have. Raises 22023 for an unknown status, severity, rule or cursor.
Example: select at, subject, message from api.list_alerts(status => ''open'', severity => ''critical'');';
