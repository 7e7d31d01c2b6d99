create function api.verify_cache(adopt boolean default false)
returns table (id uuid, model text, problem text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    unsigned uuid [];
    findings internal.alert_finding [];
begin
    if adopt then
        update cache.ml_models as c
        set signature = internal.sign_model(c.fitted_kind, c.version, c.data_hash, c.parameters::text)
        where not internal.is_signed_model(c.fitted_kind, c.version, c.data_hash, c.parameters::text, c.signature);
        update cache.model_artifact as a
        set signature = internal.sign_artifact(a.kind, a.version, a.data_hash, a.header::text, a.arrays, a.native)
        where not internal.is_signed_artifact(a.kind, a.version, a.data_hash, a.header::text, a.arrays, a.native, a.signature);
        insert into core.model_event (model, event, reason) values ('*', 'adopted', 'signed with the key of this server');
    end if;
    unsigned := array(
        select c.id from cache.ml_models as c
        where not internal.is_signed_model(c.fitted_kind, c.version, c.data_hash, c.parameters::text, c.signature)
        union all
        select a.id from cache.model_artifact as a
        where not internal.is_signed_artifact(a.kind, a.version, a.data_hash, a.header::text, a.arrays, a.native, a.signature)
    );
    -- Here, since a forecast that is refused takes what it wrote back with it.
    findings := array(
        select row('tampered', 'model ' || c.model_name, c.model_name, null, null, r.severity,
            format('model %s: %s stored fits are not what this server signed', c.model_name, count(*)), count(*), r.threshold, null)::internal.alert_finding
        from (
            select x.id, x.model_name from cache.ml_models as x
            union all
            select x.id, x.model_name from cache.model_artifact as x
        ) as c
        inner join core.alert_rule as r on r.name = 'tampered' and r.is_active
        where c.id = any(unsigned)
        group by c.model_name, r.severity, r.threshold
    );
    perform internal.store_alerts(findings, '{tampered}');
    return query
    select c.id, c.model_name, 'the signature is not the one of the parameters' from cache.ml_models as c where c.id = any(unsigned)
    union all
    select a.id, a.model_name, 'the signature is not the one of the artifact' from cache.model_artifact as a where a.id = any(unsigned);
end
$$;

comment on function api.verify_cache(boolean) is
'Checks the signature of every stored fit and artifact; lists those that are not what this server signed: empty is good. They are an alert
(tampered), resolved by the first check that finds nothing.

adopt: first signs all as they are, which is right after a restore on another server and wrong after an attack; it leaves an audit
row. Example: select * from api.verify_cache();';
