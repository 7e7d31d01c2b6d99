create function api.acknowledge_alerts(ids bigint [], notes text default null)
returns table (acknowledged_count bigint, already_count bigint)
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
        set status = 'acknowledged', acknowledged_at = clock_timestamp(), acknowledged_by = session_user, notes = coalesce(acknowledge_alerts.notes, a.notes)
        where a.id = any(acknowledge_alerts.ids) and a.status = 'open'
        returning a.id
    )
    select array_agg(c.id order by c.id) into done from changed as c;
    acknowledged_count := cardinality(coalesce(done, '{}'));
    already_count := (select count(distinct i.id) from unnest(ids) as i (id)) - acknowledged_count;
    perform internal.queue_deliveries(coalesce(done, '{}'), 'acknowledged');
    return next;
end
$$;

comment on function api.acknowledge_alerts(bigint [], text) is
'Notes that somebody knows of alerts: they stay open, and are not raised again while they last; when, by whom, with notes.

Those acknowledged or resolved before stay as they are. Returns how many were acknowledged now, and how many were already. Raises
22023 for unknown ids, all named, or none; nothing is changed then.
Example: select * from api.acknowledge_alerts(array[api.raise_alert(''data_late'', ''price list'', ''of May'')], ''asked the supplier'');';
