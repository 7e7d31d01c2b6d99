create function internal.one_of_severities(severity text)
returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
    if severity is null or severity in ('warning', 'critical') then
        return severity;
    end if;
    raise exception 'unknown severity: %', severity using errcode = '22023', hint = 'Use warning or critical.';
end
$$;

comment on function internal.one_of_severities(text) is 'Gives a severity back, or NULL. Raises 22023 for others.';
