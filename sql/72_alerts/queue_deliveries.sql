create function internal.queue_deliveries(ids bigint [], event text)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    number bigint;
begin
    insert into core.webhook_delivery (id, webhook_id, target, alert_id, event, payload)
    select n.id, w.id, w.target, a.id, queue_deliveries.event, jsonb_build_object(
        'id', n.id, 'event', queue_deliveries.event,
        'alert', jsonb_build_object(
            'id', a.id, 'rule', a.rule, 'subject', a.subject, 'model', a.model, 'version', a.version, 'segment', a.segment, 'severity', a.severity,
            'message', a.message, 'value', a.value, 'threshold', a.threshold, 'status', a.status, 'replaced_alert_id', a.replaced_alert_id,
            'raised_at', internal.utc_text(a.raised_at),
            'acknowledged_at', internal.utc_text(a.acknowledged_at), 'acknowledged_by', a.acknowledged_by,
            'resolved_at', internal.utc_text(a.resolved_at), 'resolved_by', a.resolved_by, 'notes', a.notes
        )
    )
    from core.alert as a
    inner join core.webhook as w on w.is_active and (w.min_severity = 'warning' or a.severity = 'critical')
        and (w.rules is null or a.rule = any(w.rules)) and (w.models is null or a.model = any(w.models))
    -- Not reckoned again each time it is named.
    cross join lateral (select gen_random_uuid() as id where a.id is not null and w.id is not null offset 0) as n
    where a.id = any(queue_deliveries.ids)
    order by a.id, w.id;
    -- A wake-up and no more: who missed it finds the rows.
    foreach number in array ids loop
        perform pg_notify('weighhouse', 'alert ' || number);
    end loop;
end
$$;

comment on function internal.queue_deliveries(bigint [], text) is
'Puts what happened to alerts into the outbox of each webhook that wants it, and wakes up who listens on the channel weighhouse.

event: raised, acknowledged, resolved, escalated. In the transaction of the change: both are kept or neither.';
