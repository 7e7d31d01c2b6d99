create function internal.accept_movements(
    source_data_id int, options jsonb default '{}', block int default 0, after_row tid default null, upto_row tid default null,
    row_count bigint default null
)
returns internal.accepted
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
set plan_cache_mode = force_custom_plan
as $$
declare
    decimal_mark text := options ->> 'decimal';
    zone text := options ->> 'time_zone';
    on_conflict text := coalesce(options ->> 'on_conflict', 'skip');
    latest timestamptz := now() + interval '1 day';
    session_zone text := current_setting('timezone');
    session_style text := current_setting('datestyle');
    changes tstzmultirange;
    is_signed boolean := false;
    is_guarded boolean := false;
    stored_count bigint := 0;
    staged_count bigint;
    candidate_count bigint;
    result internal.accepted;
    offending record;
begin
    if upto_row is null then
        truncate staging.spelling;
        perform internal.spell_names('staging.row');
    end if;
    perform internal.remember_names(coalesce(options ->> 'warehouse', 'main'), zone, block);
    -- Some ledgers write a sale as -5, others as 5 (and a return as -5): what most rows do is what the file does.
    select coalesce(sum(s.negative_count) * 2 > sum(s.quantity_count), false) into is_signed
    from staging.spelling as s
    inner join staging.meaning as m
        on m.item = s.item and m.product_type = s.product_type and m.warehouse = s.warehouse and m.document_type = s.document_type
    where s.block = accept_movements.block and s.quantity_count > 0
      and m.operation in ('sale', 'consumption', 'write_off', 'transfer_out');
    if zone is not null and coalesce(options ->> 'date_format', 'DMY') = 'DMY' then
        perform set_config('timezone', zone, true), set_config('datestyle', 'ISO, DMY', true);
        changes := internal.clock_changes(zone, latest);
    end if;

    if upto_row is not null then
        truncate staging.row;
        -- Most rows are spelt plainly and are new: those go where they belong in one statement. A text that only looks like
        -- a value stops it (then the casts are guarded, which costs a third more), a known movement as well.
        while changes is not null loop
            begin
                insert into core.stock_movements
                    (posted_at, nomenclature_id, warehouse_id, operation, document_number, batch_received_at, in_kg, out_kg, source_data_id, line, key_hash)
                select v.posted_at, v.nomenclature_id, v.warehouse_id, v.operation, v.document_number, v.batch_received_at, v.in_kg, v.out_kg,
                    accept_movements.source_data_id, v.line, v.key_hash
                from internal.movement_verdicts(true, is_guarded, decimal_mark, is_signed, latest, changes, after_row, upto_row) as v
                where v.reason is null;
                get diagnostics stored_count = row_count;
                exit;
            exception
                when data_exception then
                    exit when is_guarded;
                    is_guarded := true;
                when unique_violation then
                    exit;
            end;
        end loop;
        -- The others are looked at one by one.
        if stored_count = 0 then
            insert into staging.row select s.* from staging.stream as s where s.ctid > after_row and s.ctid <= upto_row;
        elsif stored_count < accept_movements.row_count then
            insert into staging.row
            select s.*
            from staging.stream as s
            where s.ctid > after_row and s.ctid <= upto_row
              and s.line in (
                  select v.line
                  from internal.movement_verdicts(true, is_guarded, decimal_mark, is_signed, latest, changes, after_row, upto_row) as v
                  where v.reason is not null
              );
        end if;
    end if;

    select count(*) into staged_count from staging.row as r;
    if stored_count + staged_count <> accept_movements.row_count then
        raise exception 'staged % rows, found % of them', accept_movements.row_count, stored_count + staged_count;
    end if;
    result.read_count := stored_count + staged_count;
    result.loaded_count := stored_count;
    result.rejected_count := 0;
    result.duplicate_count := 0;

    if staged_count > 0 then
        perform internal.read_stamps(options, changes);
        create temp table if not exists judged (
            line int, nomenclature_id int, warehouse_id int, posted_at timestamptz, operation text, document_number text,
            batch_received_at timestamptz, in_kg numeric(14, 3), out_kg numeric(14, 3), key_hash bigint, reason text, column_name text
        ) on commit drop;
        truncate pg_temp.judged;
        insert into pg_temp.judged
        select v.line, v.nomenclature_id, v.warehouse_id, v.posted_at, v.operation, v.document_number, v.batch_received_at,
            case when v.reason is null then v.in_kg end, case when v.reason is null then v.out_kg end, v.key_hash, v.reason, v.column_name
        from internal.movement_verdicts(false, true, decimal_mark, is_signed, latest, changes) as v;
        select count(*) into candidate_count from pg_temp.judged as j where j.reason is null;

        insert into core.stock_movements as m
            (posted_at, nomenclature_id, warehouse_id, operation, document_number, batch_received_at, in_kg, out_kg, source_data_id, line, key_hash)
        -- Of rows that are the same movement the last counts when they may replace each other, else the first.
        select distinct on (j.nomenclature_id, j.posted_at, j.key_hash)
            j.posted_at, j.nomenclature_id, j.warehouse_id, j.operation, j.document_number, j.batch_received_at, j.in_kg, j.out_kg,
            accept_movements.source_data_id, j.line, j.key_hash
        from pg_temp.judged as j
        where j.reason is null
        order by j.nomenclature_id, j.posted_at, j.key_hash, case when on_conflict = 'update' then - j.line else j.line end
        on conflict (nomenclature_id, posted_at, key_hash) do update
            set in_kg = excluded.in_kg, out_kg = excluded.out_kg, source_data_id = excluded.source_data_id, line = excluded.line
            where on_conflict = 'update' and (m.in_kg, m.out_kg) <> (excluded.in_kg, excluded.out_kg);
        get diagnostics stored_count = row_count;
        result.loaded_count := result.loaded_count + stored_count;

        if stored_count < candidate_count and on_conflict <> 'update' then
            -- Known already: the same quantity is a duplicate, another one a conflict.
            update pg_temp.judged as j set reason = 'conflict', column_name = 'quantity'
            from core.stock_movements as m
            where j.reason is null and m.nomenclature_id = j.nomenclature_id and m.posted_at = j.posted_at and m.key_hash = j.key_hash
              and (m.source_data_id, m.line) <> (accept_movements.source_data_id, j.line)
              and (m.in_kg, m.out_kg) <> (j.in_kg, j.out_kg);
            if on_conflict = 'fail' then
                select j.line into offending from pg_temp.judged as j where j.reason = 'conflict' order by j.line limit 1;
                if found then
                    raise exception 'line % has another quantity than stored for the same document, product and batch', offending.line
                        using errcode = '23505', hint = 'Use --on-conflict skip or update.';
                end if;
            end if;
        end if;
        result.rejected_count := internal.record_rejects(accept_movements.source_data_id);
        result.duplicate_count := result.read_count - result.loaded_count - result.rejected_count;
    end if;

    perform set_config('timezone', session_zone, true), set_config('datestyle', session_style, true);
    return result;
end
$$;

comment on function internal.accept_movements(int, jsonb, int, tid, tid, bigint) is
'Gives every staged row of a block of movements its verdict, and stores the good ones.

The block: its number in staging.spelling, and row_count rows of staging.stream from after_row (left out) to upto_row; else all
of staging.row. options: time_zone, date_format,
decimal, dst, warehouse, on_conflict (skip, update, fail). Rejected rows go to core.validation_errors with their
reason.';
