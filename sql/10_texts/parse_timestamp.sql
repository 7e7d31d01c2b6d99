create type internal.stamp as (local_time timestamp, at timestamptz, problem text);
comment on type internal.stamp is
'A stamp read from text: its local time, or the moment itself when the text carries a zone, or what is wrong with it.';

create function internal.parse_timestamp(value text, date_format text default null)
returns internal.stamp
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
    cleaned text := btrim(translate(value, chr(160) || chr(8239) || chr(65279), '   '));
    parts text[];
    day text;
    result internal.stamp;
begin
    if cleaned is null or cleaned = '' then
        return null;
    end if;
    if date_format in ('excel1900', 'excel1904') and cleaned ~ '^\d{4,5}([.,]\d+)?$' then
        result.local_time := date_trunc('second', case date_format when 'excel1900' then timestamp '1899-12-30' else timestamp '1904-01-01' end
            + replace(cleaned, ',', '.')::numeric * interval '1 day' + interval '0.5 second');
        return result;
    end if;
    parts := regexp_match(cleaned, '^(\d{4})-(\d\d)-(\d\d)(?:[T ]+(\d{1,2}:\d{1,2}(?::\d{1,2}(?:\.\d+)?)?) ?(Z|[+-]\d\d(?::?\d\d)?)?)?$');
    if parts is not null and coalesce(date_format, 'YMD') in ('YMD', 'DMY', 'MDY') then
        day := parts[1] || '-' || parts[2] || '-' || parts[3];
    else
        -- Dots say day.month.year; a slash says nothing: only the caller can tell.
        parts := regexp_match(cleaned, '^(\d{1,4})([./-])(\d{1,2})\2(\d{1,4})(?:[T ,]+(\d{1,2}:\d{1,2}(?::\d{1,2}(?:\.\d+)?)?) ?(Z|[+-]\d\d(?::?\d\d)?)?)?$');
        if parts is null then
            result.problem := case when cleaned ~ '^\d{5}([.,]\d+)?$' and date_format is null then 'ambiguous_date' else 'not_a_date' end;
            return result;
        end if;
        if date_format is null then
            if parts[2] = '.' and length(parts[1]) <= 2 then
                date_format := 'DMY';
            else
                result.problem := 'ambiguous_date';
                return result;
            end if;
        end if;
        day := case date_format
            when 'DMY' then parts[4] || '-' || parts[3] || '-' || parts[1]
            when 'MDY' then parts[4] || '-' || parts[1] || '-' || parts[3]
            when 'YMD' then parts[1] || '-' || parts[3] || '-' || parts[4]
        end;
        if day ~ '^\d\d-' then
            day := '20' || day;
        end if;
        if day !~ '^\d{4}-\d{1,2}-\d{1,2}$' then
            result.problem := 'not_a_date';
            return result;
        end if;
        parts := array[null, null, null, parts[5], parts[6]];
    end if;
    if not pg_input_is_valid(day || ' ' || coalesce(parts[4], '00:00'), 'timestamp') then
        result.problem := 'not_a_date';
        return result;
    end if;
    result.local_time := make_timestamp(
        split_part(day, '-', 1)::int, split_part(day, '-', 2)::int, split_part(day, '-', 3)::int, 0, 0, 0
    ) + coalesce(parts[4], '0:00')::interval;
    if parts[5] is not null then
        result.at := (result.local_time::text || case parts[5] when 'Z' then '+00' else parts[5] end)::timestamptz;
    end if;
    if extract(year from result.local_time) not between 1990 and 2100 then
        result.problem := 'date_out_of_range';
    end if;
    return result;
end
$$;

comment on function internal.parse_timestamp(text, text) is
'Reads a date or time as files write it: ISO 8601, dd.mm.yyyy, dd.mm.yy, one-digit hours, with or without a zone.

date_format: DMY, MDY, YMD, excel1900 or excel1904; NULL = ISO and dotted dates only, others have problem ambiguous_date.
NULL for an empty text. Other problems: not_a_date, date_out_of_range (before 1990 or after 2100).';

create function internal.localize(local_time timestamp, time_zone text, dst text default 'reject')
returns timestamptz
language sql immutable parallel safe
begin atomic
    -- In hours: a day of the session's zone may be shorter, or missing.
    -- The moment by the clock of the day before and by that of the day after: the same, unless the clock was set in between.
    with probe as (
        select timezone('UTC', localize.local_time) as at
    ), moment as (
        select
            timezone('UTC', localize.local_time - (timezone(localize.time_zone, p.at - interval '24 hours') - timezone('UTC', p.at - interval '24 hours')))
            as by_old,
            timezone('UTC', localize.local_time - (timezone(localize.time_zone, p.at + interval '24 hours') - timezone('UTC', p.at + interval '24 hours')))
            as by_new
        from probe as p
    ), checked as (
        select m.by_old, m.by_new,
            timezone(localize.time_zone, m.by_old) = localize.local_time as old_shows_it,
            timezone(localize.time_zone, m.by_new) = localize.local_time as new_shows_it
        from moment as m
    )
    select case
        when c.by_old = c.by_new or (c.old_shows_it and not c.new_shows_it) then c.by_old
        when c.new_shows_it and not c.old_shows_it then c.by_new
        -- It happens twice, or never.
        when localize.dst = 'earlier' then least(c.by_old, c.by_new)
        when localize.dst = 'later' then greatest(c.by_old, c.by_new)
    end
    from checked as c;
end;

comment on function internal.localize(timestamp, text, text) is
'Places a local time in a zone.

dst: what to do with a time that does not exist or exists twice: reject (NULL), earlier, later.';

create function internal.clock_changes(time_zone text, until timestamptz)
returns tstzmultirange
language sql immutable parallel safe
begin atomic
    with week as (
        select w.start, timezone(clock_changes.time_zone, w.start) - timezone('UTC', w.start) as shift
        from generate_series(timestamptz '1999-12-01 00:00+00', clock_changes.until + interval '336 hours', interval '168 hours') as w (start)
    ), changed as (
        select w.start, w.shift <> lead(w.shift) over (order by w.start) as is_changed from week as w
    ), day as (
        select d.start, timezone(clock_changes.time_zone, d.start) - timezone('UTC', d.start) as shift
        from changed as c
        cross join lateral generate_series(c.start, c.start + interval '168 hours', interval '24 hours') as d (start)
        where c.is_changed
    ), turned as (
        select d.start, d.shift <> lead(d.shift) over (order by d.start) as is_changed from day as d
    )
    select coalesce(range_agg(tstzrange(t.start - interval '24 hours', t.start + interval '48 hours')), '{}'::tstzmultirange)
    from turned as t
    where t.is_changed;
end;

comment on function internal.clock_changes(text, timestamptz) is
'Gives the days from 2000 on around which the clocks of a zone are set: a local time elsewhere exists exactly once.';

create function internal.is_plain_stamp(value text)
returns boolean
language sql immutable parallel safe
return is_plain_stamp.value like '20__-__-__ __:__:__' or is_plain_stamp.value like '__.__.20__ __:__:__'
    or is_plain_stamp.value like '__.__.20__ _:__:__' or is_plain_stamp.value like '20__-__-__' or is_plain_stamp.value like '__.__.20__'
    or is_plain_stamp.value like '20__-__-__ __:__' or is_plain_stamp.value like '__.__.20__ __:__';

comment on function internal.is_plain_stamp(text) is
'Tells whether a text looks like one of the common spellings of a time, which PostgreSQL reads as internal.parse_timestamp does
(with DateStyle DMY, in the zone of the file).';

create function internal.plain_stamp(value text)
returns timestamptz
language sql stable parallel safe
return case
    when internal.is_plain_stamp(plain_stamp.value) and pg_input_is_valid(plain_stamp.value, 'timestamptz')
        then plain_stamp.value::timestamptz
end;

comment on function internal.plain_stamp(text) is
'Reads the common spellings of a time with a cast, in the zone and DateStyle of the session; NULL for others.';

create function internal.is_one_moment(at timestamptz, latest timestamptz, clock_changes tstzmultirange)
returns boolean
language sql immutable parallel safe
return is_one_moment.at <= is_one_moment.latest
    and (is_one_moment.at >= upper(is_one_moment.clock_changes) or not is_one_moment.clock_changes @> is_one_moment.at);

comment on function internal.is_one_moment(timestamptz, timestamptz, tstzmultirange) is
'Tells whether a local time that was cast is surely that moment: not in the future, and not where the clocks are set, where it may be two or none.';
