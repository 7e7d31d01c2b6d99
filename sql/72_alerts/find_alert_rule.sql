create function internal.find_alert_rule(name text)
returns core.alert_rule
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    rule core.alert_rule;
begin
    select r.* into rule from core.alert_rule as r where r.name = find_alert_rule.name;
    if rule.name is null then
        raise exception 'there is no alert rule %', coalesce(name, 'NULL')
            using errcode = '22023', hint = format('There are: %s. Make one with api.add_alert_rule.', (
                select string_agg(r.name, ', ' order by r.name) from core.alert_rule as r
            ));
    end if;
    return rule;
end
$$;

comment on function internal.find_alert_rule(text) is 'Gives an alert rule. Raises 22023 with the names there are.';
