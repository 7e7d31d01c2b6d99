create function api.resolve_alerts(ids bigint [], notes text default null)
returns table (resolved_count bigint, already_count bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    done bigint[];
begin
    if coalesce(cardinality(ids), 0) = 0 then
        raise exception 'nothing says which alerts' using errcode = '22023', hint = 'Give ids: alert_id of bi.open_alerts.';
    end if;
    perform internal.check_ids(ids, 'core.alert', 'alert', 'alert_id of bi.alert or api.list_alerts');
    -- Nobody judges meanwhile: two who change the same alerts wait for each other and do not deadlock.
    perform pg_advisory_xact_lock(x'57454941'::int, 0);
    with changed as (
        update core.alert as a
        set status = 'resolved', resolved_at = clock_timestamp(), resolved_by = session_user, notes = coalesce(resolve_alerts.notes, a.notes)
        where a.id = any(resolve_alerts.ids) and a.status <> 'resolved'
        returning a.id
    )
    select array_agg(c.id order by c.id) into done from changed as c;
    resolved_count := cardinality(coalesce(done, '{}'));
    already_count := (select count(distinct i.id) from unnest(ids) as i (id)) - resolved_count;
    perform internal.queue_deliveries(coalesce(done, '{}'), 'resolved');
    return next;
end
$$;

comment on function api.resolve_alerts(bigint [], text) is
'Notes that alerts are over: when, by whom, with notes. What is still broken is raised again by the next api.raise_alerts.

Those resolved before stay as they are. Returns how many were resolved now, and how many were already. Raises 22023 for unknown ids,
all named, or none; nothing is changed then.
Example: select * from api.resolve_alerts(array[api.raise_alert(''data_late'', ''price list'', ''of May'')], ''it came'');';
