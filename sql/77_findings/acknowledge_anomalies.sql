create function api.acknowledge_anomalies(ids bigint [], notes text default null)
returns table (acknowledged_count bigint, already_count bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    if coalesce(cardinality(ids), 0) = 0 then
        raise exception 'nothing says which anomalies' using errcode = '22023', hint = 'Give ids: anomaly_id of bi.anomaly.';
    end if;
    perform internal.check_ids(ids, 'core.anomaly', 'anomaly', 'anomaly_id of bi.anomaly or api.list_anomalies');
    update core.anomaly as a
    set status = 'acknowledged', acknowledged_at = clock_timestamp(), acknowledged_by = session_user, changed_at = clock_timestamp(),
        notes = coalesce(acknowledge_anomalies.notes, a.notes)
    where a.id = any(acknowledge_anomalies.ids) and a.status = 'open';
    get diagnostics acknowledged_count = row_count;
    already_count := (select count(distinct i.id) from unnest(ids) as i (id)) - acknowledged_count;
    return next;
end
$$;

comment on function api.acknowledge_anomalies(bigint [], text) is
'Notes that somebody knows of anomalies: they count for no alert any more; when, by whom, with notes.

Those acknowledged or resolved before stay as they are. Returns how many were acknowledged now, and how many were already. Raises
22023 for unknown ids, all named, or none; nothing is changed then.
Example: select * from api.acknowledge_anomalies(array(select a.anomaly_id from bi.anomaly as a where a.status = ''open''), ''a fair in town'');';
