create function api.reset_alert_rule(rule text, model text)
returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    perform internal.find_alert_rule(rule);
    perform internal.find_model(model);
    delete from core.alert_rule_override as o where o.rule = reset_alert_rule.rule and o.model = reset_alert_rule.model;
    return found;
end
$$;

comment on function api.reset_alert_rule(text, text) is
'Lets an alert rule be for a model what it is for all. Returns whether it was otherwise. Raises 22023 for an unknown rule or model.

Example: select api.reset_alert_rule(''mape_critical'', ''sales'');';
