create function api.set_storage_policy(table_name text, compress_after interval default null, drop_after interval default null)
returns table (changed boolean, compression text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    policy core.storage_policy;
begin
    select t.* into policy
    from core.storage_policy as t
    where t.table_name in (set_storage_policy.table_name, 'core.' || set_storage_policy.table_name)
    for update;
    if policy.table_name is null then
        raise exception 'there is no hypertable %', coalesce(set_storage_policy.table_name, 'NULL') using errcode = '22023',
            hint = format('There are: %s.', (select string_agg(t.table_name, ', ' order by t.table_name) from core.storage_policy as t));
    elsif compress_after <= '0' or drop_after <= '0' then
        raise exception 'an age must be above 0' using errcode = '22023', hint = 'NULL means never.';
    elsif drop_after <= compress_after then
        raise exception 'chunks would be dropped before they are compressed' using errcode = '22023', hint = 'Give a drop_after above compress_after.';
    elsif compress_after is not null and exists (
        -- Our own can be changed for another (internal.apply_storage_policies).
        select from pg_trigger as g
        where g.tgrelid = to_regclass(policy.table_name) and g.tgoldtable is not null and g.tgtype & 8 > 0 and g.tgname <> 'note_delete'
    ) then
        raise exception '% cannot be compressed', policy.table_name using errcode = '0A000',
            hint = 'The audit trail counts deleted rows with a trigger that TimescaleDB allows on no table with a columnstore.';
    elsif drop_after is not null and policy.is_kept_whole then
        raise exception 'rows of % are never dropped', policy.table_name using errcode = '22023',
            hint = 'Periods, batches and ages are derived of all of them: without the old ones the stock would be wrong. Compress them instead.';
    elsif drop_after < interval '31 days' then
        raise exception 'drop_after must be at least 31 days' using errcode = '22023', hint = 'Days that still change must not be dropped.';
    end if;
    update core.storage_policy as t
    set compress_after = set_storage_policy.compress_after, drop_after = set_storage_policy.drop_after, changed_at = now(), changed_by = session_user
    where t.table_name = policy.table_name
      and (t.compress_after, t.drop_after) is distinct from (set_storage_policy.compress_after, set_storage_policy.drop_after);
    changed := found;
    compression := case internal.edition() when 'community' then 'available' else 'not available' end;
    return next;
end
$$;

comment on function api.set_storage_policy(text, interval, interval) is
'Sets the age at which chunks of a hypertable are compressed and dropped; NULL = never. The whole policy is given, not a change of it.

Takes effect with the next housekeeping (internal.apply_storage_policies). Returns whether it is another one than before, and whether
this edition compresses: on the Apache edition compression is not available, the age is kept for the day it is. Sums by day, week and
month outlive the rows. Raises 22023 for an unknown table, ages of 0 or less, a drop_after below 31 days or not above compress_after,
and a drop_after of facts that everything is derived of (core.stock_movements, core.calculation_data);
0A000 for a compress_after of core.stock_movements, whose audit trail stands in the way.
Example: select * from api.set_storage_policy(''core.forecast_ledger'', drop_after => ''3 years'');';
