create function internal.read_stamps(options jsonb, plain boolean default false)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    zone text := options ->> 'time_zone';
    format text := options ->> 'date_format';
    dst text := coalesce(options ->> 'dst', 'reject');
    offending record;
    clocks_change boolean;
begin
    create temp table if not exists stamp (value text, local_time timestamp, at timestamptz, problem text) on commit drop;
    truncate pg_temp.stamp;

    -- Each distinct text once: batches and documents repeat. The common spelling needs no function of ours.
    insert into pg_temp.stamp (value)
    select distinct v.value from (
        select distinct r.posted_at from staging.row as r
        union all select distinct r.batch from staging.row as r
        union all select distinct r.period_start from staging.row as r
        union all select distinct r.period_end from staging.row as r
    ) as v (value) where v.value is not null and not (plain and v.value like '20__-__-__ __:__:__');

    update pg_temp.stamp as s
    set local_time = s.value::timestamp
    where s.value like '20__-__-__ __:__:__' and translate(s.value, '0123456789', '') = '-- ::' and pg_input_is_valid(s.value, 'timestamp');

    update pg_temp.stamp as s
    set local_time = (p.stamp).local_time, at = (p.stamp).at, problem = (p.stamp).problem
    from (
        select t.value, internal.parse_timestamp(t.value, format) as stamp from pg_temp.stamp as t where t.local_time is null
    ) as p
    where p.value = s.value;

    select s.value, r.line into offending
    from pg_temp.stamp as s
    left join staging.row as r on s.value in (r.posted_at, r.batch, r.period_start, r.period_end)
    where s.problem = 'ambiguous_date' order by r.line limit 1;
    if found then
        raise exception 'the date "%" can be read in more than one way (line %)', offending.value, offending.line
            using errcode = '22007',
                  hint = 'Say which with --date-format DMY, MDY or YMD (excel1900 or excel1904 for serial numbers).';
    end if;

    if zone is null then
        select s.value, r.line into offending
        from pg_temp.stamp as s
        left join staging.row as r on s.value in (r.posted_at, r.batch, r.period_start, r.period_end)
        where s.at is null and s.local_time is not null order by r.line limit 1;
        if found then
            raise exception 'the time "%" has no zone (line %)', offending.value, offending.line
                using errcode = '22007', hint = 'Say where the clock hangs with --timezone, as --timezone Europe/Moscow.';
        end if;
    else
        select internal.zone_changes(zone, min(s.local_time), max(s.local_time)) into clocks_change
        from pg_temp.stamp as s where s.problem is null;
        if clocks_change then
            update pg_temp.stamp as s
            set at = internal.localize(s.local_time, zone, dst),
                problem = case when internal.localize(s.local_time, zone, dst) is null then 'time_not_unique' end
            where s.at is null and s.problem is null and s.local_time is not null;
        else
            update pg_temp.stamp as s set at = s.local_time at time zone zone
            where s.at is null and s.problem is null and s.local_time is not null;
        end if;
    end if;

    update pg_temp.stamp as s set problem = 'date_in_future'
    where s.problem is null and s.at > now() + interval '1 day';
    analyze pg_temp.stamp;
end
$$;

comment on function internal.read_stamps(jsonb, boolean) is
'Reads every distinct date and time text of the staging rows into pg_temp.stamp(value, local_time, at, problem).

options: time_zone, date_format, dst; plain leaves out the common spelling, which the caller casts. Raises 22007 with the option that settles it when a date is ambiguous or a time has no
zone: then nothing of the file can be trusted. Problems of single texts: not_a_date, date_out_of_range, date_in_future,
time_not_unique.';
