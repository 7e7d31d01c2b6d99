create function api.add_priority_period(period_start timestamptz, period_end timestamptz, level int, description text default null)
returns int
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    new_id int;
begin
    if level is null or level not between 1 and 10 then
        raise exception 'level must be 1 to 10, not %', coalesce(level::text, 'NULL')
            using errcode = '22023', hint = '1 counts as ever, 10 three times as much (setting priority.max_multiplier).';
    end if;
    if period_start is null or period_end is null or period_end <= period_start then
        raise exception 'the priority period ends before it starts'
            using errcode = '22023', hint = 'Give a start and a later end; the end does not belong to it. ''infinity'' leaves it open.';
    end if;
    insert into core.priority_periods (period_start, period_end, priority_level, description)
    values (period_start, period_end, level, description)
    returning id into new_id;
    return new_id;
end
$$;

comment on function api.add_priority_period(timestamptz, timestamptz, int, text) is
'Records a stretch of time that counts more in fits and averages, from a moment to another (exclusive).

level is 1 (as ever) to 10 (three times as much). Returns its id. Takes effect with the next api.fit_shrinkage() and
api.refresh_analytics(). Raises 22023 for another level, or an end that is not after the start.
Example: select api.add_priority_period(''2025-03-01'', ''2025-04-01'', 8, ''Lent'');';

create function api.end_priority_period(id int)
returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    was_active boolean;
begin
    select p.active into was_active from core.priority_periods as p where p.id = end_priority_period.id for update;
    if was_active is null then
        raise exception 'there is no priority period %', coalesce(id::text, 'NULL')
            using errcode = '22023', hint = coalesce('Active are ' || (
                select string_agg(p.id::text, ', ' order by p.id) from core.priority_periods as p where p.active
            ) || '.', 'None is active.');
    end if;
    update core.priority_periods as p set active = false where p.id = end_priority_period.id and p.active;
    return was_active;
end
$$;

comment on function api.end_priority_period(int) is
'Lets a priority period count no more; the row stays. Returns whether it still counted.

Takes effect with the next api.fit_shrinkage() and api.refresh_analytics(). Raises 22023 for an unknown id.
Example: select api.end_priority_period(p.id) from core.priority_periods as p where p.active;';
