create function internal.spelled_operations(first_spelling int default 1)
returns table (spelling int, operation text, goes_out boolean)
language sql stable
begin atomic
    with kind as materialized (
        select d.document_type, m.operation
        from (select distinct s.document_type from staging.spelling as s where s.number >= spelled_operations.first_spelling) as d
        inner join core.operation_mapping as m
            on m.document_type = replace(lower(internal.normalize_name(d.document_type)), 'ё', 'е')
    )
    select s.number, case when s.document_type = '' then '' else k.operation end,
        coalesce(k.operation in ('sale', 'consumption', 'write_off', 'transfer_out'), false)
    from staging.spelling as s
    left join kind as k on k.document_type = s.document_type
    where s.number >= spelled_operations.first_spelling;
end;

comment on function internal.spelled_operations(int) is
'Gives the operation of every row of staging.spelling from a number on: empty where the file names none, NULL for an unknown one.

goes_out: an operation whose quantity counts as going out.';
