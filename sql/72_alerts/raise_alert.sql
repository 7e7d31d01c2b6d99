create function api.raise_alert(
    rule text, subject text, message text, model text default null, version int default null, segment text default null, value float8 default null,
    severity text default null
)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    broken core.alert_rule := internal.find_alert_rule(rule);
    number bigint;
begin
    if btrim(coalesce(subject, '')) = '' or btrim(coalesce(message, '')) = '' then
        raise exception 'an alert needs a subject and a message' using errcode = '22023', hint = 'The subject stays the same while it is the same matter: job nightly.';
    end if;
    if abs(value) >= 'infinity' then
        raise exception 'value must be finite, not %', value using errcode = '22023', hint = 'NULL = it has none.';
    end if;
    perform internal.one_of_severities(severity);
    if not broken.is_active then
        return null;
    end if;
    perform internal.store_alerts(array[
        row(broken.name, btrim(subject), model, version, segment, coalesce(severity, broken.severity), message, value,
            case when value is not null then broken.threshold end, null)::internal.alert_finding
    ], '{}');
    select a.id into number from core.alert as a where a.rule = broken.name and a.subject = btrim(raise_alert.subject) and a.status <> 'resolved';
    return number;
end
$$;

comment on function api.raise_alert(text, text, text, text, int, text, float8, text) is
'Raises an alert of a rule by hand, for what api.raise_alerts does not look at; while one of the same rule and subject is open, that
one is seen again. Returns its number; NULL = the rule is not active.

severity: NULL = that of the rule. End it with api.resolve_alerts. Raises 22023 for an unknown rule or severity, and without subject or message.
Example: select api.raise_alert(''data_late'', ''price list'', ''the price list of May is not there'');';
