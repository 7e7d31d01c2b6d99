create function internal.parse_number(value text, decimal_mark text default null)
returns numeric
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
    cleaned text := btrim(translate(value, chr(160) || chr(8239) || chr(8201) || chr(9) || chr(10) || chr(13), '      '));
    sign int := 1;
    last_comma int;
    last_dot int;
    fraction_mark text := decimal_mark;
begin
    if cleaned is null or cleaned in ('', '-', '–', '—') then
        return null;
    end if;
    cleaned := translate(cleaned, chr(8722) || '–', '--');
    if cleaned ~ '^\(.*\)$' then
        sign := -1;
        cleaned := btrim(cleaned, '()');
    end if;
    if cleaned ~ '-$' then
        sign := -sign;
        cleaned := btrim(left(cleaned, -1));
    end if;
    if cleaned ~ '^-' then
        sign := -sign;
        cleaned := btrim(substr(cleaned, 2));
    end if;
    cleaned := regexp_replace(cleaned, '^\+', '');
    if cleaned ~ '^(\d+\.?\d*|\.\d+)[eE][-+]?\d+$' then
        return sign * cleaned::numeric;
    end if;
    last_comma := case when cleaned like '%,%' then length(cleaned) - position(',' in reverse(cleaned)) + 1 else 0 end;
    last_dot := case when cleaned like '%.%' then length(cleaned) - position('.' in reverse(cleaned)) + 1 else 0 end;
    if fraction_mark is null then
        if last_comma > 0 and last_dot > 0 then
            fraction_mark := case when last_comma > last_dot then ',' else '.' end;
        elsif last_comma > 0 then
            -- One comma is the decimal mark (files of this trade), several are groups.
            fraction_mark := case when cleaned ~ ',.*,' then '.' else ',' end;
        else
            fraction_mark := case when cleaned ~ '\..*\.' then ',' else '.' end;
        end if;
    end if;
    -- Groups of three by space, apostrophe or the other mark; anything else is not a number.
    if cleaned !~ '\d' or (cleaned !~ case fraction_mark
        when ',' then '^(\d{1,3}([ .''’]\d{3})+|\d+)?(,\d*)?$'
        else '^(\d{1,3}([ ,''’]\d{3})+|\d+)?(\.\d*)?$' end)
    then
        raise exception 'not a number: %', value using errcode = '22P02';
    end if;
    cleaned := translate(cleaned, case fraction_mark when ',' then ' .''’' else ' ,''’' end, '');
    return sign * replace(cleaned, ',', '.')::numeric;
end
$$;

comment on function internal.parse_number(text, text) is
'Reads a number as people and ERPs write it: 1 234,567; (12,5); 1.234,5; 12.5; a minus behind; − for -.

decimal_mark: the mark of the fraction, "," or "."; NULL = decide by the value (the last of both; a single comma is a decimal
comma). NULL for empty or a lone dash. Raises 22P02 for anything else.';

create function internal.read_number(value text, decimal_mark text default null)
returns numeric
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
    return internal.parse_number(value, decimal_mark);
exception when invalid_text_representation or numeric_value_out_of_range then
    return 'NaN';
end
$$;

comment on function internal.read_number(text, text) is
'Reads a number as internal.parse_number does, NaN for what is none: for verdicts over many rows.';

create function internal.point_for_comma(value text, decimal_mark text)
returns text
language sql immutable parallel safe
return translate(
    point_for_comma.value, '.,_xXoObBiI', case point_for_comma.decimal_mark when '.' then '.!' when ',' then '!.' else '..' end || '!!!!!!!!!'
);

comment on function internal.point_for_comma(text, text) is
'Writes a decimal point for a decimal comma, and spoils what PostgreSQL takes for a number and internal.parse_number does not:
groups of thousands, hexadecimal numbers, infinity.';

create function internal.plain_number(value text, decimal_mark text)
returns numeric
language sql stable parallel safe
return case
    when plain_number.value is null then null
    when plain_number.value = '0' then 0
    -- With a point it is no hexadecimal number, no group of thousands and no comma: most numbers are read here.
    when plain_number.value like '%.%' and plain_number.value not like '%\_%' and coalesce(plain_number.decimal_mark, '.') = '.'
        then case when pg_input_is_valid(plain_number.value, 'numeric') then plain_number.value::numeric end
    when plain_number.value like '_' and plain_number.value >= '0' and plain_number.value <= '9' then plain_number.value::numeric
    when pg_input_is_valid(internal.point_for_comma(plain_number.value, plain_number.decimal_mark), 'numeric')
        then internal.point_for_comma(plain_number.value, plain_number.decimal_mark)::numeric
end;

comment on function internal.plain_number(text, text) is
'Reads the common spellings of a number with a cast, as internal.parse_number does; NULL for others.';

create function internal.looks_negative(value text)
returns boolean
language sql immutable parallel safe
return looks_negative.value ~ '^\s*[-−–(]|-\s*$';

comment on function internal.looks_negative(text) is 'Tells whether a number is spelt with a minus, before, behind or as brackets.';
