create function internal.read_stamps(options jsonb, clock_changes tstzmultirange default null)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
as $$
declare
    zone text := options ->> 'time_zone';
    format text := options ->> 'date_format';
    dst text := coalesce(options ->> 'dst', 'reject');
    latest timestamptz := now() + interval '1 day';
    offending record;
begin
    truncate staging.stamp;

    -- Each distinct text once: batches and documents repeat.
    insert into staging.stamp (value, at, problem)
    select l.value, case when l.problem is null then l.at end,
        coalesce(l.problem, case when l.at is null and not l.is_blank then 'time_not_unique' end)
    from (
        select p.value, p.stamp is null as is_blank,
            coalesce((p.stamp).at, internal.localize((p.stamp).local_time, zone, dst)) as at,
            coalesce((p.stamp).problem, case when (p.stamp).at is null and zone is null and (p.stamp).local_time is not null then 'no_zone' end) as problem
        from (
            select t.value, internal.parse_timestamp(t.value, format) as stamp
            from (
                select v.value,
                    case when clock_changes is not null then internal.plain_stamp(v.value) end as at
                from (
                    select r.posted_at from staging.row as r
                    union select r.batch from staging.row as r
                    union select r.period_start from staging.row as r
                    union select r.period_end from staging.row as r
                ) as v (value)
                where v.value is not null
                offset 0
            ) as t
            where internal.is_one_moment(t.at, latest, clock_changes) is not true
            offset 0
        ) as p
        offset 0
    ) as l;

    select s.value, s.problem, r.line into offending
    from staging.stamp as s
    left join staging.row as r on s.value in (r.posted_at, r.batch, r.period_start, r.period_end)
    where s.problem in ('ambiguous_date', 'no_zone') order by s.problem, r.line limit 1;
    if offending.problem = 'ambiguous_date' then
        raise exception 'the date "%" can be read in more than one way (line %)', offending.value, offending.line
            using errcode = '22007',
                  hint = 'Say which with --date-format DMY, MDY or YMD (excel1900 or excel1904 for serial numbers).';
    elsif offending.problem = 'no_zone' then
        raise exception 'the time "%" has no zone (line %)', offending.value, offending.line
            using errcode = '22007', hint = 'Say where the clock hangs with --timezone, as --timezone Europe/Moscow.';
    end if;

    update staging.stamp as s set at = null, problem = 'date_in_future'
    where s.problem is null and s.at > latest;
    analyze staging.stamp;
end
$$;

comment on function internal.read_stamps(jsonb, tstzmultirange) is
'Reads every distinct date and time text of the staging rows into staging.stamp(value, at, problem).

options: time_zone, date_format, dst; clock_changes (NULL = read all here) leaves out what
internal.movement_verdicts casts itself. Raises 22007 with the
option that settles it when a date is ambiguous or a time has no zone: then nothing of the file can be trusted. Problems of
single texts: not_a_date, date_out_of_range, date_in_future, time_not_unique.';
