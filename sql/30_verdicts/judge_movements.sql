create function internal.judge_movements(block int, first_spelling int, row_count int, has_quantity boolean, options jsonb default '{}')
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
set plan_cache_mode = force_custom_plan
as $$
declare
    zone text := options ->> 'time_zone';
    latest timestamptz := now() + interval '1 day';
    session_zone text := current_setting('timezone');
    session_style text := current_setting('datestyle');
    before staging.block;
    place staging.block;
    found_count int;
    judged_count int;
    is_guarded boolean := false;
begin
    select b.* into before from staging.block as b where b.number = judge_movements.block - 1;
    place.number := block;
    place.first_spelling := first_spelling;
    select max(s.number) into place.last_spelling from staging.spelling as s;
    place.row_count := row_count;
    place.after_row := coalesce(before.upto_row, '(0,0)');
    place.after_judged := coalesce(before.upto_judged, '(0,0)');
    select max(s.ctid), max(s.line), count(*) into place.upto_row, place.last_line, found_count
    from staging.stream as s
    where s.ctid > place.after_row;
    if found_count < row_count then
        -- A page that is full for a long row may have room for a short one later.
        select array_agg(s.ctid), greatest(max(s.line), place.last_line) into place.stray_rows, place.last_line
        from staging.stream as s
        where s.ctid <= place.after_row and s.line > coalesce(before.last_line, 0);
    end if;
    -- Some ledgers write a sale as -5, others as 5 (and a return as -5): what most rows do is what the file does.
    place.is_signed := false;
    if has_quantity then
        select count(*) filter (where internal.looks_negative(s.quantity)) * 2 > count(*) into place.is_signed
        from internal.block_rows(place) as s
        inner join internal.spelled_operations(first_spelling) as o on o.spelling = s.spelling and o.goes_out
        where s.quantity is not null;
    end if;

    -- A text that only looks like a value stops the statement; then the casts are guarded, which costs a third more.
    while zone is not null and coalesce(options ->> 'date_format', 'DMY') = 'DMY' loop
        begin
            perform set_config('timezone', zone, true), set_config('datestyle', 'ISO, DMY', true);
            insert into staging.judged (line, spelling, posted_at, batch_received_at, in_kg, out_kg, operation, document_number)
            select m.line, m.spelling, m.posted_at, m.batch_received_at, m.in_kg, m.out_kg, m.operation, m.document_number
            from internal.plain_movements(place, is_guarded, options ->> 'decimal', latest, internal.clock_changes(zone, latest)) as m;
            get diagnostics judged_count = row_count;
            exit;
        exception when data_exception then
            exit when is_guarded;
            is_guarded := true;
        end;
    end loop;
    perform set_config('timezone', session_zone, true), set_config('datestyle', session_style, true);
    select coalesce(max(j.ctid), place.after_judged), count(*) into place.upto_judged, found_count
    from staging.judged as j
    where j.ctid > place.after_judged;
    if found_count < judged_count then
        select array_agg(j.ctid) into place.stray_judged
        from staging.judged as j
        where j.ctid <= place.after_judged and j.line > coalesce(before.last_line, 0);
    end if;
    insert into staging.block select place.*;
end
$$;

comment on function internal.judge_movements(int, int, int, boolean, jsonb) is
'Judges the rows of staging.stream after the block before as far as casts go, into staging.judged, and enters them in staging.block.

first_spelling: their names stand in staging.spelling from this number on. has_quantity: they may state a single quantity.
options: as of internal.accept_movements, which stores them. For a session of its own: it names no table that one truncates.';
