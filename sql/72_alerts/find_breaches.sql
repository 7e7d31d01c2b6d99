create function internal.find_breaches(on_day date default null)
returns setof internal.alert_finding
language sql stable
begin atomic
    with rules as (
        select r.name, r.measure, r.about, r.severity, r.comparison, d.name as model, coalesce(o.threshold, r.threshold) as threshold
        from core.alert_rule as r
        left join core.model_definition as d on r.about = 'model'
        left join core.alert_rule_override as o on o.rule = r.name and o.model = d.name
        where r.is_automatic and coalesce(o.is_active, r.is_active)
    )

    -- While the critical rule of a measure is broken, the warning says nothing new.
    select distinct on (m.measure, m.subject) r.name, m.subject, m.model, m.version, null, r.severity,
        format('%s: %s; the threshold is %s', m.subject, m.finding, internal.rounded(r.threshold)),
        m.value, r.threshold, m.day
    from internal.alert_measures(find_breaches.on_day) as m
    inner join rules as r on r.measure = m.measure and r.about = m.about and r.model is not distinct from m.model
    where case r.comparison when 'above' then m.value > r.threshold else m.value < r.threshold end
    order by m.measure asc, m.subject asc, r.severity = 'critical' desc, r.name asc;
end;

comment on function internal.find_breaches(date) is
'Lists the rules that are broken, one row a measure and subject: of a critical rule and a warning the critical one. on_day as in
internal.alert_measures.';
