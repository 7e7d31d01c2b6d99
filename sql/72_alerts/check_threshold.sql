create function internal.check_threshold(threshold float8)
returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
    if not (threshold >= 0 and threshold < 'infinity') then
        raise exception 'threshold must be a number from 0 on, not %', threshold
            using errcode = '22023', hint = 'In the unit of the rule: see bi.alert_rule. To stop looking at it: is_active => false.';
    end if;
end
$$;

comment on function internal.check_threshold(float8) is 'Raises 22023 for a threshold that is negative, NaN or infinite; NULL is none.';
