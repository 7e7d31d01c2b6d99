create function api.set_retraining_policy(
    model text default null, mape_threshold float8 default null, max_age interval default null, max_new_observations int default null,
    significant_percent float8 default null, minor_percent float8 default null, is_active boolean default null
)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    policy core.retraining_policy;
    known core.retraining_policy;
begin
    if set_retraining_policy.model is not null and (internal.find_model(set_retraining_policy.model)).time_column is null then
        raise exception 'model % is not retrained by these rules', set_retraining_policy.model
            using errcode = '22023', hint = 'Its fit is in force at once; models made by api.create_model have a policy.';
    end if;
    select p.* into known
    from core.retraining_policy as p where p.model = set_retraining_policy.model or p.model is null
    order by p.model nulls last limit 1
    for update;
    policy := known;
    policy.model := set_retraining_policy.model;
    policy.mape_threshold := coalesce(set_retraining_policy.mape_threshold, known.mape_threshold);
    policy.max_age := coalesce(set_retraining_policy.max_age, known.max_age);
    policy.max_new_observations := coalesce(set_retraining_policy.max_new_observations, known.max_new_observations);
    policy.significant_percent := coalesce(set_retraining_policy.significant_percent, known.significant_percent);
    policy.minor_percent := coalesce(set_retraining_policy.minor_percent, known.minor_percent);
    policy.is_active := coalesce(set_retraining_policy.is_active, known.is_active);
    if not coalesce(
        policy.mape_threshold > 0 and policy.mape_threshold < 'infinity' and policy.max_age > interval '0' and policy.max_new_observations > 0
        and policy.significant_percent between 0 and 100 and policy.minor_percent between 0 and policy.significant_percent, false
    ) then
        raise exception 'these thresholds are impossible: MAPE %, age %, observations %, significant %, minor %', policy.mape_threshold, policy.max_age,
            policy.max_new_observations, policy.significant_percent, policy.minor_percent
            using errcode = '22023', hint = 'MAPE, age and observations are above 0; 0 <= minor <= significant <= 100.';
    end if;
    if policy is distinct from known then
        insert into core.retraining_policy as p (model, mape_threshold, max_age, max_new_observations, significant_percent, minor_percent, is_active)
        values (policy.model, policy.mape_threshold, policy.max_age, policy.max_new_observations, policy.significant_percent, policy.minor_percent,
            policy.is_active)
        on conflict on constraint retraining_policy_model_key do update set mape_threshold = excluded.mape_threshold, max_age = excluded.max_age,
            max_new_observations = excluded.max_new_observations, significant_percent = excluded.significant_percent,
            minor_percent = excluded.minor_percent, is_active = excluded.is_active, changed_at = now(), changed_by = session_user;
    end if;
end
$$;

comment on function api.set_retraining_policy(text, float8, interval, int, float8, float8, boolean) is
'Says when models are retrained by themselves, and how much better a challenger must be; what is NULL stays as it is.

model: NULL = all models without a row of their own; a model''s first row begins as the default is then. mape_threshold: percent;
max_age: of the full fit; max_new_observations: since it; significant_percent, minor_percent: improvement above which a challenger
comes into force; is_active: whether it is retrained by itself. What holds is in bi.retraining_policy. Raises 22023.
Example: select api.set_retraining_policy(''sales'', mape_threshold => 12);';
