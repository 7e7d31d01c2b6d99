create function internal.local_date(grid jsonb, column_name text)
returns text
language sql immutable parallel safe
return case
    when (local_date.grid ->> 'is_local')::boolean then format('%I::date', local_date.column_name)
    else format('(%I at time zone %L)::date', local_date.column_name, local_date.grid ->> 'zone')
end;

comment on function internal.local_date(jsonb, text) is 'Writes the expression for the calendar day of a time column, in the zone of the grid.';
