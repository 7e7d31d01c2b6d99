create function internal.rounded(value float8)
returns text
language sql immutable parallel safe
return case when abs(rounded.value) < 1e15 then trim_scale(round(rounded.value::numeric, 2))::text else rounded.value::text end;

comment on function internal.rounded(float8) is 'Writes a figure for people, with at most two decimals.';
