create function api.raise_alerts(on_day date default null)
returns table (raised_count bigint, seen_count bigint, resolved_count bigint, open_count bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
as $$
begin
    if not isfinite(on_day) then
        raise exception 'on_day must be a day, not %', on_day using errcode = '22023', hint = 'As 2026-01-31; NULL = all days there are.';
    end if;
    -- Whoever waited for another that judged the same finds what that one raised.
    perform pg_advisory_xact_lock(x'57454941'::int, 0);
    select s.raised_count, s.seen_count, s.resolved_count into raised_count, seen_count, resolved_count
    from internal.store_alerts(
        array(select b from internal.find_breaches(on_day) as b), array(select r.name from core.alert_rule as r where r.is_automatic)
    ) as s;
    select count(*) into open_count from core.alert as a where a.status <> 'resolved';
    return next;
end
$$;

comment on function api.raise_alerts(date) is
'Looks at all automatic alert rules: raises an alert for each that is broken, once while it is open, and resolves those that are over.

on_day: accuracy is judged by the days up to it; NULL = all. Called again on the same data it raises and resolves nothing; it notes
that the open ones were seen. A critical alert takes the place of the warning of the same measure (escalated); when it is over and the
warning still holds, the warning is raised anew. What a person resolved while it is still broken is raised again: to have quiet,
acknowledge it. Returns how many were raised, seen again and resolved now, and how many are open. Raises 22023 for an infinite day.
Example: select * from api.raise_alerts();';
