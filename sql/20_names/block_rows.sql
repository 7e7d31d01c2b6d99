create function internal.block_rows(place staging.block)
returns setof staging.stream
language sql stable
begin atomic
    select s.* from staging.stream as s
    where s.ctid > (block_rows.place).after_row and s.ctid <= (block_rows.place).upto_row and s.line <= (block_rows.place).last_line
    union all
    select s.* from staging.stream as s
    where s.ctid = any((block_rows.place).stray_rows);
end;

comment on function internal.block_rows(staging.block) is
'Gives the rows of a block of staging.stream: where COPY put them, with those of later blocks that found room there left out.';

create function internal.block_judged(place staging.block)
returns setof staging.judged
language sql stable
begin atomic
    select j.* from staging.judged as j
    where j.ctid > (block_judged.place).after_judged and j.ctid <= (block_judged.place).upto_judged and j.line <= (block_judged.place).last_line
    union all
    select j.* from staging.judged as j
    where j.ctid = any((block_judged.place).stray_judged);
end;

comment on function internal.block_judged(staging.block) is 'Gives the rows of a block of staging.judged, as internal.block_rows does.';
