create function api.health(model text default null)
returns table (component text, status text, reason text, value float8, threshold float8)
language plpgsql stable
set search_path = pg_catalog, pg_temp
set jit = off
as $$
#variable_conflict use_column
begin
    if health.model is not null then
        perform internal.find_model(health.model);
    end if;
    return query
    with watched as materialized (
        select h.component, h.status, h.reason, h.value, h.threshold, array_position(array['critical', 'warning', 'healthy'], h.status) as place
        from bi.health as h
        where health.model is null or h.model = health.model
    )
    select o.component, o.status, o.reason, o.value, o.threshold
    from (
        select 'overall' as component, case min(w.place) when 1 then 'critical' when 2 then 'warning' else 'healthy' end as status,
            coalesce(string_agg(w.component || ': ' || w.reason, '; ' order by w.place, w.component) filter (where w.place < 3), 'nothing is wrong') as reason,
            count(*) filter (where w.place < 3)::float8 as value, 0.0::float8 as threshold, 0 as place
        from watched as w
        union all
        select w.component, w.status, w.reason, w.value, w.threshold, w.place from watched as w
    ) as o
    order by o.place, o.component;
end
$$;

comment on function api.health(text) is
'Says whether everything is as it should be: the first row is the worst of all (overall), the others say what was looked at (bi.health).

status: healthy, warning or critical. value of overall: how many are not healthy; of the others what was measured, held against
threshold; NULL = nothing to measure. model: only what concerns that model; NULL = everything. Raises 22023 for an unknown model.
Example: select * from api.health();';
