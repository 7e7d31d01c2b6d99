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
    -- TimescaleDB's own policies run as the owner of the table, which here cannot log in: so this does their work.
    can_compress boolean := internal.edition() = 'community';
    hypertable regclass;
    row_function text;
    chunk regclass;
    boundary timestamptz;
    gone_before timestamptz;
    dropped_count bigint := 0;
    compressed_count bigint := 0;
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
            select max(c.range_end), dropped_count + count(*) into gone_before, dropped_count
            from timescaledb_information.chunks as c
            where format('%I.%I', c.hypertable_schema, c.hypertable_name)::regclass = hypertable and c.range_end <= boundary;
            if gone_before is not null then
                perform public.drop_chunks(hypertable, boundary);
                update core.storage_policy as t set dropped_before = greatest(t.dropped_before, gone_before)
                where t.table_name = policy.table_name and t.dropped_before is distinct from greatest(t.dropped_before, gone_before);
            end if;
        end if;
        if can_compress and policy.compress_after is not null then
            if not exists (
                select from timescaledb_information.hypertables as h
                where format('%I.%I', h.hypertable_schema, h.hypertable_name)::regclass = hypertable and h.compression_enabled
            ) then
                row_function := replace(policy.table_name, 'core.', 'core.note_') || '_row';
                if to_regproc(row_function) is not null then
                    execute format('drop trigger note_delete on %s', hypertable);
                    execute format('create trigger note_delete after delete on %s for each row execute function %s()', hypertable, row_function);
                end if;
                execute format('alter table %s set (timescaledb.enable_columnstore = true, timescaledb.segmentby = %L, timescaledb.orderby = %L)',
                    hypertable, policy.segment_by, policy.order_by);
            end if;
            for chunk in
                select format('%I.%I', c.chunk_schema, c.chunk_name)::regclass
                from timescaledb_information.chunks as c
                where format('%I.%I', c.hypertable_schema, c.hypertable_name)::regclass = hypertable and not c.is_compressed
                  and c.range_end <= now() - policy.compress_after
                order by c.range_end
            loop
                perform public.compress_chunk(chunk);
                compressed_count := compressed_count + 1;
            end loop;
        end if;
    end loop;
    return query select dropped_count + compressed_count, format('%s chunks dropped, %s compressed%s', dropped_count, compressed_count,
        case when waiting_count > 0 then ', ' || waiting_count || ' tables wait until their sums are stored' else '' end);
end
$$;

comment on function internal.apply_storage_policies() is
'Does what core.storage_policy says: drops old chunks, and compresses them where the edition can.

Returns how many chunks it dropped or compressed, and what it did in words; a second call finds nothing to do. A row that comes late
into a compressed chunk lies beside the others. Run by the owner of the tables (a superuser, or a member of weighhouse_owner): others
get 42501. Raises 55P03 when somebody holds a chunk for 5 s; then nothing was done.';
