create function internal.apply_storage_policies()
returns table (count bigint, detail text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set client_min_messages = warning
-- Dropping a chunk waits for those who read it, and everybody who comes later waits behind: rather another day.
set lock_timeout = '5s'
as $$
declare
    policy core.storage_policy;
    is_community boolean := internal.edition() = 'community';
    hypertable regclass;
    aggregate record;
    boundary timestamptz;
    gone_before timestamptz;
    offset_wanted interval;
    dropped_count bigint := 0;
    set_count bigint := 0;
    waiting_count bigint := 0;
begin
    -- What is about to go is summed first.
    perform internal.refresh_rollups();
    for policy in select t.* from core.storage_policy as t order by t.table_name loop
        hypertable := to_regclass(policy.table_name);
        continue when hypertable is null;
        if policy.drop_after is not null then
            boundary := now() - policy.drop_after;
            if policy.table_name = 'core.forecast_ledger' and exists (
                select from core.rollup_pending as p where p.source = 'forecast' and p.from_time < boundary
            ) then
                waiting_count := waiting_count + 1;
                continue;
            end if;
            select max(c.range_end) into gone_before
            from timescaledb_information.chunks as c
            where format('%I.%I', c.hypertable_schema, c.hypertable_name)::regclass = hypertable and c.range_end <= boundary;
            if gone_before is not null then
                perform public.drop_chunks(hypertable, boundary);
                dropped_count := dropped_count + 1;
            end if;
            -- TimescaleDB's own policy drops when it likes: from now on nothing older is summed again.
            if gone_before is not null or is_community and policy.dropped_before is null then
                update core.storage_policy as t set dropped_before = greatest(t.dropped_before, case when is_community then boundary else gone_before end)
                where t.table_name = policy.table_name;
            end if;
        end if;
        if is_community then
            if policy.compress_after is not null and not exists (
                select from timescaledb_information.hypertables as h
                where format('%I.%I', h.hypertable_schema, h.hypertable_name)::regclass = hypertable and h.compression_enabled
            ) then
                execute format('alter table %s set (timescaledb.enable_columnstore = true, timescaledb.segmentby = %L, timescaledb.orderby = %L)',
                    hypertable, policy.segment_by, policy.order_by);
            end if;
            if policy.compress_after is distinct from internal.policy_age(hypertable, 'policy_compression') then
                if internal.policy_age(hypertable, 'policy_compression') is not null then
                    call public.remove_columnstore_policy(hypertable);
                end if;
                if policy.compress_after is not null then
                    call public.add_columnstore_policy(hypertable, after => policy.compress_after);
                end if;
                set_count := set_count + 1;
            end if;
            if policy.drop_after is distinct from internal.policy_age(hypertable, 'policy_retention') then
                perform public.remove_retention_policy(hypertable, if_exists => true);
                if policy.drop_after is not null then
                    perform public.add_retention_policy(hypertable, policy.drop_after);
                end if;
                set_count := set_count + 1;
            end if;
        end if;
    end loop;

    if is_community then
        for aggregate in
            select format('%I.%I', a.view_schema, a.view_name)::regclass as name,
                exists (select from timescaledb_information.jobs as j
                    where j.proc_name = 'policy_refresh_continuous_aggregate' and j.hypertable_name in (a.view_name, a.materialization_hypertable_name)) as is_set,
                (select (j.config ->> 'start_offset')::interval from timescaledb_information.jobs as j
                    where j.proc_name = 'policy_refresh_continuous_aggregate' and j.hypertable_name in (a.view_name, a.materialization_hypertable_name)) as start_offset,
                -- Not what was dropped: it would be summed to nothing.
                (select date_trunc('day', least(t.drop_after, now() - t.dropped_before)) - interval '2 days' from core.storage_policy as t
                    where t.table_name = format('%I.%I', a.hypertable_schema, a.hypertable_name) and t.dropped_before is not null) as wanted
            from timescaledb_information.continuous_aggregates as a
            where a.view_schema = 'core'
        loop
            continue when aggregate.is_set and aggregate.start_offset is not distinct from aggregate.wanted;
            perform public.remove_continuous_aggregate_policy(aggregate.name, if_exists => true);
            perform public.add_continuous_aggregate_policy(aggregate.name, start_offset => aggregate.wanted, end_offset => null::interval,
                schedule_interval => interval '15 minutes');
            set_count := set_count + 1;
        end loop;
    end if;
    return query select dropped_count + set_count, format('%s tables lost old chunks, %s policies set%s', dropped_count, set_count,
        case when waiting_count > 0 then ', ' || waiting_count || ' wait until their sums are stored' else '' end);
end
$$;

comment on function internal.apply_storage_policies() is
'Does what core.storage_policy says: drops old chunks, and on the Community edition sets columnstore, retention and refresh policies.

Returns how many tables lost chunks or policies were set, and what it did in words; a second call finds nothing to do. Run by the
owner of the tables (a superuser, or a member of weighhouse_owner): others get 42501. Raises 55P03 when somebody holds a chunk for 5 s.';
