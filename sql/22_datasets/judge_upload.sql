create function internal.judge_upload(names text [], header_line bigint default 1, options jsonb default '{}')
returns table (problem text, hint text, line bigint, column_name text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
set client_min_messages = warning
as $$
#variable_conflict use_column
declare
    decimal_mark text := coalesce(options ->> 'decimal', '');
    empty_words text [] := array(
        select w.value from jsonb_array_elements_text((select s.value from core.settings as s where s.name = 'dataset.empty_words')) as w (value)
    );
    least int := internal.setting('dataset.min_rows')::int;
    most_empty float8 := internal.setting('dataset.max_empty_percent')::float8;
    most_bad float8 := internal.setting('dataset.max_bad_percent')::float8;
    is_zoned boolean := options ->> 'time_zone' is not null;
    is_dated boolean := options ->> 'date_format' is not null;
    row_total bigint;
    statement text;
    found record;
begin
    if options ->> 'time_zone' is not null then
        if not exists (select from pg_timezone_names as z where z.name = options ->> 'time_zone') then
            raise exception 'unknown time zone %', options ->> 'time_zone' using errcode = '22023', hint = 'As Europe/Moscow.';
        end if;
        perform set_config('timezone', options ->> 'time_zone', true);
    end if;
    -- Until the transaction ends: the cells are converted in it.
    perform set_config('datestyle', 'ISO, ' || case when options ->> 'date_format' = 'MDY' then 'MDY' else 'DMY' end, true);
    select t.key || case when t.key <> all(names) then ' is no column' else ' cannot be ' || t.value end as what, t.key <> all(names) as is_name into found
    from jsonb_each_text(coalesce(options -> 'types', '{}')) as t
    where t.key <> all(names) or t.value not in ('text', 'boolean', 'bigint', 'float8', 'numeric', 'date', 'timestamp', 'timestamptz');
    if found.what is not null then
        raise exception 'types: %', found.what using errcode = '22023',
            hint = case when found.is_name then 'The columns are ' || array_to_string(names, ', ') || '.'
            else 'Types are text, boolean, bigint, float8, numeric, date, timestamp, timestamptz.' end;
    end if;

    create temp table if not exists upload_tally (position int, class text, cell_count bigint, first_line bigint, last_line bigint) on commit drop;
    create temp table if not exists upload_column (position int, name text, place int, type text, conversion text) on commit drop;
    truncate pg_temp.upload_tally, pg_temp.upload_column;
    select string_agg(format(
        'select %1$s, x.class, count(*), min(x.line), max(x.line) from ('
        'select c.line, internal.cell_class(c.cell, %2$L, %3$L) as class from ('
        'select r.line, nullif(btrim(r.c%1$s, E'' \t\r\n\u00a0''), '''') as cell from pg_temp.upload_row as r offset 0) as c offset 0) as x group by x.class',
        n.position, decimal_mark, empty_words
    ), ' union all ' order by n.position) into statement
    from unnest(names) with ordinality as n (name, position);
    execute 'insert into pg_temp.upload_tally ' || statement;
    if not is_dated then
        -- Not a date the one way may be one the other way.
        update pg_temp.upload_tally as t set class = replace(t.class, 'other ', '') where t.class like 'other %';
    end if;

    select coalesce(sum(t.cell_count), 0) into row_total from pg_temp.upload_tally as t where t.position = 1;
    if row_total < least then
        return query select format('%s rows, fewer than %s', row_total, least), 'Upload more rows, or lower the setting dataset.min_rows.',
            header_line + row_total, null::text;
        return;
    end if;

    create temp table if not exists upload_guess (
        position int, name text, place int, type text, classes text [], conversion text, filled bigint, bad bigint, first_bad bigint, asked text,
        broken_at bigint
    ) on commit drop;
    truncate pg_temp.upload_guess;
    insert into pg_temp.upload_guess
    with asked as (
        select n.position::int as position, n.name, options -> 'types' ->> n.name as type
        from unnest(names) with ordinality as n (name, position)
    ), fit as (
        select a.position, a.name, f.place, f.type, f.classes, f.conversion, a.type as asked,
            coalesce(sum(t.cell_count), 0) as filled, coalesce(sum(t.cell_count) filter (where t.class = any(f.classes)), 0) as good,
            min(t.first_line) filter (where t.class <> all(f.classes)) as first_bad, max(t.last_line) filter (where t.class <> all(f.classes)) as last_bad,
            min(t.first_line) filter (where t.class = any(f.classes)) as first_good, max(t.last_line) filter (where t.class = any(f.classes)) as last_good,
            f.type = 'timestamp' and is_zoned and coalesce(a.type, 'timestamptz') = 'timestamptz' as gets_zone,
            bool_or(t.class = 'boolean') or count(*) filter (where t.class like 'letter %') = 2 as is_word
        from asked as a
        cross join internal.cell_types() as f
        left join pg_temp.upload_tally as t on t.position = a.position and t.class <> 'empty'
        where a.type is null or a.type = f.type or (a.type = 'timestamptz' and f.type = 'timestamp' and is_zoned)
        group by a.position, a.name, f.place, f.type, f.classes, f.conversion, a.type
    )
    select f.position, f.name, f.place, case when f.gets_zone then 'timestamptz' else f.type end, f.classes,
        case when f.gets_zone then replace(f.conversion, '::timestamp', '::timestamptz') else f.conversion end,
        f.filled, f.filled - f.good, f.first_bad, f.asked,
        -- Of one type up to a line, and never after it; or the other way round.
        case when f.good >= 10 and f.filled - f.good >= 10 then
            case when f.last_good < f.first_bad then f.first_bad when f.last_bad < f.first_good then f.first_good end
        end
    from fit as f
    -- A column of one letter is no truth value.
    where f.type <> 'boolean' or f.is_word or f.asked is not null;

    insert into pg_temp.upload_column (position, name, place, type, conversion)
    select n.position, n.name, g.place, coalesce(g.type, 'text'), g.conversion
    from unnest(names) with ordinality as n (name, position)
    left join lateral (
        select u.place, u.type, u.conversion
        from pg_temp.upload_guess as u
        where u.position = n.position and u.filled > 0 and coalesce(u.asked, '') <> 'text'
          and u.bad <= case when u.asked is null then most_bad / 100 * u.filled else u.filled end
        order by u.bad, u.place
        limit 1
    ) as g on true;

    -- Names of the columns that look like their cells: there are none. (Years do head columns of numbers.)
    if not exists (
        select from pg_temp.upload_column as c
        inner join pg_temp.upload_guess as g on g.position = c.position and g.type = c.type
        where c.type <> 'text'
        group by c.position
        having not bool_or(internal.cell_class(c.name, decimal_mark, empty_words) = any(g.classes))
            or bool_and(c.name ~ '^(19|20)[0-9]{2}$')
    ) and exists (
        select from pg_temp.upload_column as c where c.type <> 'text' and internal.cell_class(c.name, decimal_mark, empty_words) not in ('text', 'empty')
    ) then
        return query select format('there is no header: "%s" are values, not names', left(array_to_string(names, ', '), 120)),
            'Put a line with the names of the columns in front.', header_line, names[1];
        return;
    end if;

    create temp table if not exists upload_problem (position int, line bigint, name text, rank int, problem text, hint text) on commit drop;
    truncate pg_temp.upload_problem;
    insert into pg_temp.upload_problem
    -- The guess that was taken has bad cells: typing errors.
    select c.position, g.first_bad, g.name, 1,
        format('is no %s: %s of %s cells %s none', g.type, g.bad, g.filled, case when g.bad = 1 then 'is' else 'are' end),
        format('Mend %s, or take the column as text: --type "%s=text". (Where more than %s %% do not fit, a column is text: dataset.max_bad_percent.)',
            case when g.bad = 1 then 'it' else 'them' end, g.name, most_bad)
    from pg_temp.upload_column as c
    inner join pg_temp.upload_guess as g on g.position = c.position and g.place = c.place
    where g.bad > 0
    union all
    select b.position, b.broken_at, b.name, 2,
        format('changes the type of the column: it is %s on one side of this line and never on the other', b.type),
        format('Make it one type, or take the column as text: --type "%s=text".', b.name)
    from (
        select distinct on (g.position) g.position, g.broken_at, g.name, g.type
        from pg_temp.upload_guess as g
        inner join pg_temp.upload_column as c on c.position = g.position
        where c.type = 'text' and g.asked is null and g.broken_at is not null
        order by g.position, g.place
    ) as b
    union all
    select c.position, min(t.first_line), c.name, 3, 'can be read both ways: day or month first?', 'Add --date-format DMY or MDY.'
    from pg_temp.upload_column as c
    inner join internal.cell_types() as f on f.place = c.place
    inner join pg_temp.upload_tally as t on t.position = c.position and t.class = any(f.classes)
    where not is_dated and t.class in ('slashed', 'slashed time')
    group by c.position, c.name;
    select string_agg(format('select %s, left(r.c%s, 80) from pg_temp.upload_row as r where r.line = %s', p.position, p.position, p.line), ' union all ')
    into statement from pg_temp.upload_problem as p;
    if statement is not null then
        return query execute 'select format(''"%s" %s'', v.cell, p.problem), p.hint, p.line, p.name from pg_temp.upload_problem as p '
            'inner join (' || statement || ') as v (position, cell) on v.position = p.position order by p.rank, p.line, p.position';
        return;
    end if;

    select sum(t.cell_count) as empty_count, (array_agg(n.name order by t.cell_count desc, t.position))[1] as name,
        (array_agg(t.first_line order by t.cell_count desc, t.position))[1] as line
    into found
    from (
        select u.position, sum(u.cell_count) as cell_count, min(u.first_line) as first_line
        from pg_temp.upload_tally as u
        inner join pg_temp.upload_column as c on c.position = u.position
        where u.class is null or (u.class = 'empty' and c.type <> 'text')
        group by u.position
    ) as t
    inner join unnest(names) with ordinality as n (name, position) on n.position = t.position;
    if 100.0 * found.empty_count > most_empty * row_total * cardinality(names) then
        return query select format('%s %% of the cells are empty, more than %s %%', round(100.0 * found.empty_count / (row_total * cardinality(names)), 1), most_empty),
            'The emptiest column is named: leave such columns out, or raise the setting dataset.max_empty_percent.', found.line, found.name;
    end if;
end
$$;

comment on function internal.judge_upload(text [], bigint, jsonb) is
'Finds the types of the columns of an uploaded file and lists what is wrong with it; empty is good.

Reads pg_temp.upload_row (line, c1, c2 ...: cells as text, NULL = empty); leaves types and conversions in pg_temp.upload_column, and the
DateStyle and time zone they need until the transaction ends. A column is of the narrowest type that all its cells have. Where up to
dataset.max_bad_percent of the cells do not fit, these are errors, and so is a column that is of a type up to a line and never after;
else the column is text. names: of the columns. header_line: where they stand. options: decimal (. or ,), date_format (DMY, MDY), time_zone (of times that carry
none: they become timestamptz), types ({column: type}). line and column_name: of the problem. Raises 22023 for bad options.';
