create function internal.cell_class(cell text, decimal_mark text, empty_words text [])
returns text
language sql stable parallel safe
return case
    when cell_class.cell is null then null
    -- All numbers and dates begin with a character below this.
    when cell_class.cell collate "C" < ':' then case
        -- A leading zero belongs to a code, 0x and _ are PostgreSQL's own.
        when pg_input_is_valid(cell_class.cell, 'bigint') and ltrim(cell_class.cell, '+-') not like '0_%' and cell_class.cell not like '%\_%' then 'integer'
        when pg_input_is_valid(cell_class.cell, 'float8') and translate(cell_class.cell, '0123456789.+-eE', '') = ''
            and (ltrim(cell_class.cell, '+-') not like '0_%' or ltrim(cell_class.cell, '+-') like '0.%' or ltrim(cell_class.cell, '+-') ilike '0e%') then case
            when translate(cell_class.cell, '0123456789+-', '') = '' then 'big'
            when length(ltrim(translate(cell_class.cell, '.+-', ''), '0')) > 17 and cell_class.cell !~ '[eE]' then 'exact'
            else 'decimal'
        end
        -- The usual spellings without a regular expression: those take ten times as long.
        when cell_class.cell like '____-__-__' and translate(cell_class.cell, '0123456789', '') = '--' then
            case when pg_input_is_valid(cell_class.cell, 'date') then 'date' else 'text' end
        when cell_class.cell like '____-__-__ __:__%' and translate(cell_class.cell, '0123456789', '') in ('-- :', '-- ::', '-- ::.') then
            case when pg_input_is_valid(cell_class.cell, 'timestamp') then 'time' else 'text' end
        when cell_class.cell like '%,%' and cell_class.decimal_mark <> '.' and cell_class.cell ~ '^[+-]?(0|[1-9][0-9]*),[0-9]+$' then 'comma'
        when cell_class.decimal_mark <> '.' and cell_class.cell like any(array['% %', E'%\u00a0%', E'%\u202f%'])
            and cell_class.cell ~ '^[+-]?[1-9][0-9]{0,2}([ \u00a0\u202f][0-9]{3})+(,[0-9]+)?$' then 'grouped'
        when cell_class.cell ~ '^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}$|^[0-9]{4}/[0-9]{1,2}/[0-9]{1,2}$' then
            case when pg_input_is_valid(cell_class.cell, 'date') then 'date' else 'text' end
        when cell_class.cell ~ '^[0-9]{1,2}\.[0-9]{1,2}\.[0-9]{4}$' then case when pg_input_is_valid(cell_class.cell, 'date') then 'dotted' else 'text' end
        when cell_class.cell ~ '^[0-9]{1,2}[/-][0-9]{1,2}[/-][0-9]{4}$' then
            case when pg_input_is_valid(cell_class.cell, 'date') then 'slashed' else 'other slashed' end
        when cell_class.cell ~ '^[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}[ T][0-9]{1,2}:[0-9]{2}(:[0-9]{2}([.,][0-9]+)?)?$' then
            case when pg_input_is_valid(cell_class.cell, 'timestamp') then 'time' else 'text' end
        when cell_class.cell ~ '^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}[ T][0-9]{1,2}:[0-9]{2}(:[0-9]{2}([.,][0-9]+)?)? ?(Z|UTC|[+-][0-9]{2}(:?[0-9]{2})?)$' then
            case when pg_input_is_valid(cell_class.cell, 'timestamptz') then 'zoned' else 'text' end
        when cell_class.cell ~ '^[0-9]{1,2}\.[0-9]{1,2}\.[0-9]{4} [0-9]{1,2}:[0-9]{2}(:[0-9]{2})?$' then
            case when pg_input_is_valid(cell_class.cell, 'timestamp') then 'dotted time' else 'text' end
        when cell_class.cell ~ '^[0-9]{1,2}[/-][0-9]{1,2}[/-][0-9]{4} [0-9]{1,2}:[0-9]{2}(:[0-9]{2})?$' then
            case when pg_input_is_valid(cell_class.cell, 'timestamp') then 'slashed time' else 'other slashed time' end
        when cell_class.cell = any(cell_class.empty_words) then 'empty'
        else 'text'
    end
    when length(cell_class.cell) > 5 then 'text'
    when cell_class.cell = any(cell_class.empty_words) then 'empty'
    when lower(cell_class.cell) in ('true', 'false', 'yes', 'no', 'да', 'нет') then 'boolean'
    when lower(cell_class.cell) in ('t', 'y') then 'letter of true'
    when lower(cell_class.cell) in ('f', 'n') then 'letter of false'
    else 'text'
end;

comment on function internal.cell_class(text, text, text []) is
'Says what a cell of an uploaded file looks like: integer, decimal, date ... text; the types of columns follow from it.

cell: without spaces around it; NULL = empty (NULL). decimal_mark: . = a comma is no decimal mark. empty_words: written for an empty
cell. Days before months or after them: as DateStyle says.';

create function internal.cell_types()
returns table (place int, type text, classes text [], conversion text)
language sql immutable
begin atomic
    -- What a column is, in the order of preference; %1$s = the cell.
    select f.place, f.type, f.classes, f.conversion
    from (values
        (1, 'boolean', '{boolean,"letter of true","letter of false"}'::text [], 'lower(%1$s) in (''true'', ''yes'', ''да'', ''t'', ''y'')'),
        (2, 'bigint', '{integer}', '%1$s::bigint'),
        (3, 'float8', '{integer,decimal}', '%1$s::float8'),
        (4, 'float8', '{integer,comma,grouped}', 'translate(%1$s, E'', \u00a0\u202f'', ''.'')::float8'),
        (5, 'numeric', '{integer,big,decimal,exact}', '%1$s::numeric'),
        (6, 'date', '{date}', '%1$s::date'),
        (7, 'date', '{dotted}', '%1$s::date'),
        (8, 'date', '{slashed}', '%1$s::date'),
        (9, 'timestamptz', '{zoned}', '%1$s::timestamptz'),
        (10, 'timestamp', '{date,time}', '%1$s::timestamp'),
        (11, 'timestamp', '{dotted,"dotted time"}', '%1$s::timestamp'),
        (12, 'timestamp', '{slashed,"slashed time"}', '%1$s::timestamp')
    ) as f (place, type, classes, conversion);
end;

comment on function internal.cell_types() is
'Lists the types a column can have, the narrowest first: which cells fit it, and how they are converted. Text is what is left.';
