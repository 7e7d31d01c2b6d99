create function api.set_alert_rule(rule text, threshold float8 default null, is_active boolean default null, model text default null)
returns table (rule_name text, model_name text, rule_threshold float8, rule_is_active boolean)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    chosen core.alert_rule := internal.find_alert_rule(rule);
begin
    if num_nonnulls(threshold, is_active) = 0 then
        raise exception 'nothing says what to change' using errcode = '22023', hint = 'Give threshold or is_active.';
    end if;
    perform internal.check_threshold(threshold);
    if model is null then
        update core.alert_rule as r
        set threshold = coalesce(set_alert_rule.threshold, r.threshold), is_active = coalesce(set_alert_rule.is_active, r.is_active),
            changed_at = now(), changed_by = session_user
        where r.name = chosen.name
          and (coalesce(set_alert_rule.threshold, r.threshold), coalesce(set_alert_rule.is_active, r.is_active)) is distinct from (r.threshold, r.is_active);
    else
        perform internal.find_model(model);
        if chosen.about <> 'model' or not chosen.is_automatic then
            raise exception 'rule % knows no models', chosen.name using errcode = '22023', hint = 'Leave model out: the rule is the same for all.';
        end if;
        insert into core.alert_rule_override as o (rule, model, threshold, is_active)
        values (chosen.name, set_alert_rule.model, set_alert_rule.threshold, set_alert_rule.is_active)
        on conflict on constraint alert_rule_override_pkey do update
        set threshold = coalesce(excluded.threshold, o.threshold), is_active = coalesce(excluded.is_active, o.is_active),
            changed_at = now(), changed_by = session_user
        where (coalesce(excluded.threshold, o.threshold), coalesce(excluded.is_active, o.is_active)) is distinct from (o.threshold, o.is_active);
    end if;
    return query
    select r.name, o.model, coalesce(o.threshold, r.threshold), coalesce(o.is_active, r.is_active)
    from core.alert_rule as r
    left join core.alert_rule_override as o on o.rule = r.name and o.model = set_alert_rule.model
    where r.name = chosen.name;
end
$$;

comment on function api.set_alert_rule(text, float8, boolean, text) is
'Changes the threshold of an alert rule, or whether it is looked at: for all, or for one model; NULL = stays as it is.

It shows with the next api.raise_alerts: alerts that are none any more are resolved. Returns the rule as it is now. Raises 22023 for
an unknown rule or model, a model where the rule knows none, a threshold below 0, and when nothing is to change.
Example: select * from api.set_alert_rule(''mape_critical'', 25, model => ''sales'');';
