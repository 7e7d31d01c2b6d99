create function api.norm_percent(norm_id int, days float8)
returns float8
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    norm core.norms := internal.find_norm(norm_id);
begin
    if days is null or not (days >= 0 and days <= 9999999) then
        raise exception 'days must be from 0 to 9999999, not %', coalesce(days::text, 'NULL')
            using errcode = '22023', hint = 'Give the storage term in days (monthly norms: the month of storage; transport: km).';
    end if;
    return coalesce((
        select bi.step_percent(s.percent, s.add_per_day, s.step_above, s.step_to, days::numeric)
        from core.norm_steps as s
        where s.norm_id = norm.id and (s.step_above < days or norm.kind = 'turnover')
        order by s.step_above desc
        limit 1
    ), 0)::float8;
end
$$;

comment on function api.norm_percent(int, float8) is
'Gives the percent of a norm of natural loss at a storage term in days; of a monthly norm at the month of storage, of transport at km.

Beyond the last step its last value; 0 at 0; a norm in percent of turnover has one whatever the time. Raises 22023 for an unknown norm
or an impossible term. Example: select n.norm_id, api.norm_percent(n.norm_id, 12) from bi.norm as n;';
