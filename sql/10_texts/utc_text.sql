create function internal.utc_text(moment timestamptz)
returns text
language sql stable parallel safe
return to_char(utc_text.moment at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');

comment on function internal.utc_text(timestamptz) is 'Writes a moment in UTC (ISO 8601), whatever the zone of the session.';
