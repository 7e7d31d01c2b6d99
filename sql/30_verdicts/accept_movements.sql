create function internal.accept_movements(source_data_id int, options jsonb default '{}')
returns internal.accepted
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
    decimal_mark text := options ->> 'decimal';
    zone text := options ->> 'time_zone';
    warehouse text := coalesce(options ->> 'warehouse', 'main');
    on_conflict text := coalesce(options ->> 'on_conflict', 'skip');
    result internal.accepted;
    candidate_count bigint;
    changed record;
begin
    perform internal.remember_names(warehouse, zone);

    -- The common spelling of a stamp is cast as it stands, in the zone of the file: one call instead of four. What is
    -- spelt otherwise goes through the dictionary; and everything does when a cast fails, or when the zone sets its
    -- clocks in the time of the block, so that a local time may not exist or exist twice.
    begin
        if zone is null then
            raise data_exception;
        end if;
        perform set_config('timezone', zone, true);
        perform internal.read_stamps(options, true);
        perform internal.judge_movements(options, true);
        if (
            select internal.zone_changes(
                zone, least(min(j.posted_at), min(j.batch_received_at))::timestamp, greatest(max(j.posted_at), max(j.batch_received_at))::timestamp
            )
            from pg_temp.judged as j
        ) then
            raise data_exception;
        end if;
        perform set_config('timezone', 'UTC', true);
    exception when data_exception then
        perform internal.read_stamps(options, false);
        perform internal.judge_movements(options, false);
    end;

    select count(*), count(*) filter (where j.reason is null) into result.read_count, candidate_count from pg_temp.judged as j;

    if on_conflict = 'update' then
        insert into core.stock_movements as m
            (posted_at, nomenclature_id, warehouse_id, operation, document_number, batch_received_at, in_kg, out_kg, source_data_id, line, key_hash)
        select distinct on (j.nomenclature_id, j.posted_at, j.key_hash)
            j.posted_at, j.nomenclature_id, j.warehouse_id, j.operation, j.document_number, j.batch_received_at, j.in_kg, j.out_kg,
            accept_movements.source_data_id, j.line, j.key_hash
        from pg_temp.judged as j where j.reason is null
        order by j.nomenclature_id, j.posted_at, j.key_hash, j.line desc
        on conflict (nomenclature_id, posted_at, key_hash) do update
            set in_kg = excluded.in_kg, out_kg = excluded.out_kg, source_data_id = excluded.source_data_id, line = excluded.line
            where (m.in_kg, m.out_kg) is distinct from (excluded.in_kg, excluded.out_kg);
        get diagnostics result.loaded_count = row_count;
    else
        -- Nearly always nothing of a block is known yet, and an insert that need not look for conflicts is a third faster.
        begin
            insert into core.stock_movements
                (posted_at, nomenclature_id, warehouse_id, operation, document_number, batch_received_at, in_kg, out_kg, source_data_id, line, key_hash)
            select j.posted_at, j.nomenclature_id, j.warehouse_id, j.operation, j.document_number, j.batch_received_at, j.in_kg, j.out_kg,
                accept_movements.source_data_id, j.line, j.key_hash
            from pg_temp.judged as j where j.reason is null;
            get diagnostics result.loaded_count = row_count;
        exception when unique_violation then
            insert into core.stock_movements
                (posted_at, nomenclature_id, warehouse_id, operation, document_number, batch_received_at, in_kg, out_kg, source_data_id, line, key_hash)
            select j.posted_at, j.nomenclature_id, j.warehouse_id, j.operation, j.document_number, j.batch_received_at, j.in_kg, j.out_kg,
                accept_movements.source_data_id, j.line, j.key_hash
            from pg_temp.judged as j where j.reason is null
            order by j.line
            on conflict (nomenclature_id, posted_at, key_hash) do nothing;
            get diagnostics result.loaded_count = row_count;
        end;
    end if;

    if result.loaded_count < candidate_count and on_conflict <> 'update' then
        -- Known already: the same quantity is a duplicate, another one a conflict.
        update pg_temp.judged as j set reason = 'conflict', column_name = 'quantity'
        from core.stock_movements as m
        where j.reason is null and m.nomenclature_id = j.nomenclature_id and m.posted_at = j.posted_at and m.key_hash = j.key_hash
          and (m.source_data_id, m.line) <> (accept_movements.source_data_id, j.line)
          and (m.in_kg, m.out_kg) <> (round(j.in_kg, 3), round(j.out_kg, 3));
        if on_conflict = 'fail' then
            select j.line into changed from pg_temp.judged as j where j.reason = 'conflict' order by j.line limit 1;
            if found then
                raise exception 'line % has another quantity than stored for the same document, product and batch', changed.line
                    using errcode = '23505', hint = 'Use --on-conflict skip or update.';
            end if;
        end if;
    end if;

    result.rejected_count := internal.record_rejects(accept_movements.source_data_id);
    result.duplicate_count := result.read_count - result.loaded_count - result.rejected_count;
    return result;
end
$$;

comment on function internal.accept_movements(int, jsonb) is
'Gives every staging row of a block of movements its verdict, and stores the good ones.

options: time_zone, date_format, decimal, dst, warehouse, on_conflict (skip, update, fail). Rejected rows go to
core.validation_errors with their reason.';
