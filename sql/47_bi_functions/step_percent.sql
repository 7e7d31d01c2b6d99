-- In bi, and replaced like its views: they use it, and outsiders' views may.
create or replace function bi.step_percent(percent numeric, add_per_day numeric, step_above numeric, step_to numeric, term numeric)
returns numeric
language sql immutable parallel safe
return case
    when step_percent.add_per_day = 0 then step_percent.percent
    else greatest(0, step_percent.percent
        + step_percent.add_per_day * (least(step_percent.term, coalesce(step_percent.step_to, step_percent.term)) - step_percent.step_above))
end;

comment on function bi.step_percent(numeric, numeric, numeric, numeric, numeric) is
'Percent of a norm at a term (days, months or km) that lies in one of its steps (core.norm_steps), or beyond the last.';
