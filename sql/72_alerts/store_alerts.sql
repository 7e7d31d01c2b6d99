create function internal.store_alerts(findings internal.alert_finding [], judged text [])
returns table (raised_count bigint, seen_count bigint, resolved_count bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    seen bigint[];
    fresh bigint[];
    grown bigint[];
    over bigint[];
begin
    -- One at a time: what two would raise at once is one alert, and nobody meets the other's unique key.
    perform pg_advisory_xact_lock(x'57454941'::int, 0);
    with renewed as (
        update core.alert as a
        set last_seen_at = clock_timestamp(), value = f.value, threshold = f.threshold, message = f.message, version = f.version
        from unnest(findings) as f
        where a.rule = f.rule and a.subject = f.subject and a.status <> 'resolved'
        returning a.id
    )
    select array_agg(r.id) into seen from renewed as r;
    with new_alert as (
        insert into core.alert (rule, subject, model, version, segment, severity, message, value, threshold, replaced_alert_id)
        select distinct on (f.rule, f.subject) f.rule, f.subject, f.model, f.version, f.segment, f.severity, f.message, f.value, f.threshold, (
                select w.id from core.alert as w
                inner join core.alert_rule as k on k.name = w.rule
                where f.severity = 'critical' and k.measure = r.measure and w.subject = f.subject and w.severity = 'warning' and w.rule <> f.rule
                  and w.status <> 'resolved'
                order by w.id limit 1
            )
        from unnest(findings) as f
        inner join core.alert_rule as r on r.name = f.rule
        where not exists (select from core.alert as a where a.rule = f.rule and a.subject = f.subject and a.status <> 'resolved')
        order by f.rule, f.subject
        on conflict (rule, subject) where status <> 'resolved' do nothing
        returning id, rule, subject, replaced_alert_id
    ), counted as (
        update core.model_performance_metrics as m set alerts_raised = m.alerts_raised + f.raised_count
        from (
            select f.model, f.version, f.day, count(*) as raised_count
            from unnest(findings) as f
            inner join new_alert as n on n.rule = f.rule and n.subject = f.subject
            group by f.model, f.version, f.day
        ) as f
        where m.model = f.model and m.version = f.version and m.day = f.day and m.segment_by is null
    )
    select array_agg(n.id order by n.id) filter (where n.replaced_alert_id is null), array_agg(n.id order by n.id) filter (where n.replaced_alert_id is not null)
    into fresh, grown
    from new_alert as n;
    -- Its receivers hear of the critical one that took its place.
    update core.alert as a set status = 'resolved', resolved_at = clock_timestamp()
    from core.alert as n
    where n.id = any(grown) and a.id = n.replaced_alert_id;
    with ended as (
        update core.alert as a set status = 'resolved', resolved_at = clock_timestamp()
        where a.status <> 'resolved' and a.rule = any(judged)
          and not exists (select from unnest(findings) as f where f.rule = a.rule and f.subject = a.subject)
        returning a.id
    )
    select array_agg(e.id order by e.id) into over from ended as e;
    perform internal.queue_deliveries(coalesce(over, '{}'), 'resolved');
    perform internal.queue_deliveries(coalesce(fresh, '{}'), 'raised');
    perform internal.queue_deliveries(coalesce(grown, '{}'), 'escalated');
    return query select (cardinality(coalesce(fresh, '{}')) + cardinality(coalesce(grown, '{}')))::bigint,
        cardinality(coalesce(seen, '{}'))::bigint, (cardinality(coalesce(over, '{}')) + cardinality(coalesce(grown, '{}')))::bigint;
end
$$;

comment on function internal.store_alerts(internal.alert_finding [], text []) is
'Turns broken rules into alerts: new ones are raised, those open are seen again, those of the rules judged that are not found any more
are resolved. A critical alert takes the place of the warning of the same measure and subject, which is resolved (escalated).';
