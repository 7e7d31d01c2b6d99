create function api.add_alert_rule(rule text, description text, severity text default 'warning', threshold float8 default 0)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    if rule is null or rule !~ '^[a-z][a-z0-9_]*$' or length(rule) > 63 then
        raise exception 'an alert rule cannot be called %', coalesce(quote_literal(left(rule, 80)), 'NULL')
            using errcode = '22023', hint = 'Use lower case letters, digits and underscores, as stock_is_negative.';
    end if;
    if description is null or btrim(description) = '' or severity is null then
        raise exception 'an alert rule needs a description and a severity' using errcode = '22023', hint = 'Say what is wrong when it is broken; warning or critical.';
    end if;
    perform internal.one_of_severities(severity);
    perform internal.check_threshold(coalesce(threshold, 'NaN'));
    insert into core.alert_rule (name, description, measure, severity, threshold, about, is_automatic)
    values (rule, btrim(description), rule, severity, threshold, 'other', false)
    on conflict (name) do nothing;
    if not found and not exists (
        select from core.alert_rule as r
        where r.name = rule and not r.is_automatic and r.description = btrim(add_alert_rule.description) and r.severity = add_alert_rule.severity
    ) then
        raise exception 'there is an alert rule % already', rule using errcode = '22023', hint = 'Change it with api.set_alert_rule, or choose another name.';
    end if;
end
$$;

comment on function api.add_alert_rule(text, text, text, float8) is
'Makes an alert rule of one''s own: who finds it broken says so with api.raise_alert, and ends it with api.resolve_alerts.

severity: warning or critical. threshold is told with the alert; nothing is compared with it. The same rule again changes nothing. Raises 22023.
Example: select api.add_alert_rule(''stock_is_negative'', ''Products with less than nothing in stock.'', ''critical'');';
