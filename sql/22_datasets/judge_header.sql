create function internal.judge_header(names text [], max_columns int default null)
returns table (problem text, hint text, place int)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    most int := coalesce(max_columns, internal.setting('dataset.max_columns')::int);
begin
    if cardinality(names) < 2 then
        return query select format('%s column: a dataset has at least 2', cardinality(names)),
            'Name the --delimiter if there are more; export the table with its columns.', null::int;
        return;
    end if;
    if cardinality(names) > most then
        return query select format('%s columns, more than %s', cardinality(names), most),
            'Leave columns out, or raise the setting dataset.max_columns.', null::int;
        return;
    end if;
    return query
    select x.problem, x.hint, x.position::int
    from (
        select n.position, case
                when n.name = '' then format('column %s has no name', n.position)
                when n.name ~ '^[=+@\-]' then format('the name "%s" begins like a formula', left(n.name, 80))
                when n.name ~ '[\u0001-\u001f\u007f]' then format('the name of column %s has control characters or line breaks', n.position)
                when octet_length(n.name) > 63 then format('the name "%s" takes %s bytes, more than 63', n.name, octet_length(n.name))
                when n.name in ('tableoid', 'xmin', 'cmin', 'xmax', 'cmax', 'ctid') then format('the name "%s" belongs to PostgreSQL', n.name)
                when count(*) over w > 1 then format('the name "%s" stands %s times', n.name, count(*) over w)
            end as problem,
            case
                when n.name = '' then 'The first line holds the names of the columns: give each one.'
                when n.name ~ '^[=+@\-]' then 'A spreadsheet would run it: rename the column so that it begins with a letter.'
                when octet_length(n.name) > 63 then 'Shorten it: letters beyond ASCII take 2 bytes or more.'
                when count(*) over w > 1 then 'Rename all but one of them.'
                else 'Rename the column.'
            end as hint
        from unnest(names) with ordinality as n (name, position)
        window w as (partition by n.name)
    ) as x
    where x.problem is not null
    order by x.position;
end
$$;

comment on function internal.judge_header(text [], int) is
'Lists what is wrong with the names of the columns of an uploaded file; empty is good.

names: without spaces around them, '''' = none. max_columns: NULL = as the setting dataset.max_columns. place: of the column; NULL = all.';
