create function internal.step_expression(grid jsonb, column_name text)
returns text
language sql immutable parallel safe
return case step_expression.grid ->> 'unit'
    when 'second' then format('floor((date_part(''epoch'', %I) - %s) / %s)::bigint',
        step_expression.column_name, step_expression.grid ->> 'phase', step_expression.grid ->> 'count')
    when 'day' then format('floor((%s - date ''2000-01-01'' - %s)::float8 / %s)::bigint',
        internal.local_date(step_expression.grid, step_expression.column_name), step_expression.grid ->> 'phase', step_expression.grid ->> 'count')
    when 'month' then format('floor((date_part(''year'', %1$s) * 12 + date_part(''month'', %1$s) - 1 - %2$s) / %3$s)::bigint',
        internal.local_date(step_expression.grid, step_expression.column_name), step_expression.grid ->> 'phase', step_expression.grid ->> 'count')
end;

comment on function internal.step_expression(jsonb, text) is
'Writes the expression for the number of the step a time falls into.

grid: unit (second, day, month), count of units a step has, phase (units by which steps begin later), zone, is_local (the column
holds local times). internal.step_time is the inverse.';

create function internal.step_time(grid jsonb, step bigint)
returns timestamptz
language sql stable parallel safe
return case step_time.grid ->> 'unit'
    when 'second' then
        case when (step_time.grid ->> 'is_local')::boolean
            then (to_timestamp((step_time.step * (step_time.grid ->> 'count')::bigint + (step_time.grid ->> 'phase')::bigint)::float8) at time zone 'UTC')
                at time zone (step_time.grid ->> 'zone')
            else to_timestamp((step_time.step * (step_time.grid ->> 'count')::bigint + (step_time.grid ->> 'phase')::bigint)::float8)
        end
    when 'day' then (date '2000-01-01' + (step_time.step * (step_time.grid ->> 'count')::int + (step_time.grid ->> 'phase')::int)::int)::timestamp
        at time zone (step_time.grid ->> 'zone')
    when 'month' then (date '0001-01-01'
        + make_interval(months => (step_time.step * (step_time.grid ->> 'count')::int + (step_time.grid ->> 'phase')::int)::int - 12))
        at time zone (step_time.grid ->> 'zone')
end;

comment on function internal.step_time(jsonb, bigint) is 'Gives the start of a step.';

create function internal.step_seconds(grid jsonb)
returns float8
language sql immutable parallel safe
return (step_seconds.grid ->> 'count')::float8
    * case step_seconds.grid ->> 'unit' when 'second' then 1 when 'day' then 86400 when 'month' then 365.25 * 86400 / 12 end;

comment on function internal.step_seconds(jsonb) is 'Gives the length of a step in seconds; of months the average.';

create function internal.step_number(grid jsonb, moment timestamptz)
returns bigint
language sql stable parallel safe
return case step_number.grid ->> 'unit'
    when 'second' then floor((extract(epoch from case when (step_number.grid ->> 'is_local')::boolean
        then (step_number.moment at time zone (step_number.grid ->> 'zone')) at time zone 'UTC' else step_number.moment end)
        - (step_number.grid ->> 'phase')::bigint) / (step_number.grid ->> 'count')::bigint)::bigint
    when 'day' then floor(((step_number.moment at time zone (step_number.grid ->> 'zone'))::date - date '2000-01-01'
        - (step_number.grid ->> 'phase')::int)::float8 / (step_number.grid ->> 'count')::int)::bigint
    when 'month' then floor((extract(year from step_number.moment at time zone (step_number.grid ->> 'zone')) * 12
        + extract(month from step_number.moment at time zone (step_number.grid ->> 'zone')) - 1
        - (step_number.grid ->> 'phase')::int)::float8 / (step_number.grid ->> 'count')::int)::bigint
end;

comment on function internal.step_number(jsonb, timestamptz) is 'Gives the number of the step a moment falls into.';
