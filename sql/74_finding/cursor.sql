-- Every list is read the same way: newest first, by a time and keys that make it unique; a page goes on after the cursor of the
-- last row seen, so page 1000 costs what page 1 costs and a row that comes in between moves nothing. Bodies are plain SQL
-- without settings: they are inlined, filters that are NULL fall away, and each combination of filters is planned for itself.
create function internal.cursor(at timestamptz, id bigint, tie bigint default 0)
returns text
language sql immutable parallel safe
return encode(int8send((extract(epoch from cursor.at) * 1000000)::bigint) || int8send(cursor.id) || int8send(cursor.tie), 'hex');

comment on function internal.cursor(timestamptz, bigint, bigint) is
'Writes the place of a row in a list: its time, its key, and a second key where the first is not unique.';

create function internal.cursor_number(after text, place int)
returns bigint
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
    if after is null then
        return 9223372036854775807;
    end if;
    if after !~ '^[0-9a-f]{48}$' then
        raise exception 'after is no cursor: %', left(after, 60)
            using errcode = '22023', hint = 'Give the column cursor of the last row you have, unchanged; NULL = the first page.';
    end if;
    return ('x' || substr(after, 16 * place - 15, 16))::bit(64)::bigint;
end
$$;

comment on function internal.cursor_number(text, int) is
'Reads a number of a cursor: 1 = microseconds since 1970, 2 = key, 3 = second key; of NULL the largest. Raises 22023 for what is no cursor.';

create function internal.cursor_time(after text)
returns timestamptz
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
    micros bigint := internal.cursor_number(after, 1);
begin
    if after is null then
        return 'infinity';
    end if;
    -- Years 1 to 9999: what nobody's cursor says.
    if not micros between -62135596800000000 and 253402300800000000 then
        raise exception 'after is no cursor: %', after
            using errcode = '22023', hint = 'Give the column cursor of the last row you have, unchanged; NULL = the first page.';
    end if;
    return timestamptz '1970-01-01 00:00:00+00' + micros * interval '1 microsecond';
end
$$;

comment on function internal.cursor_time(text) is 'Reads the time of a cursor; of NULL infinity. Raises 22023 for what is no cursor.';

create function internal.page_size(page_size int)
returns int
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
    if page_size between 1 and 1000 then
        return page_size;
    end if;
    raise exception 'page_size must be 1 to 1000, not %', coalesce(page_size::text, 'NULL')
        using errcode = '22023', hint = 'Read on with after => the column cursor of the last row.';
end
$$;

comment on function internal.page_size(int) is 'Gives the size of a page back. Raises 22023 unless it is 1 to 1000.';
