create function internal.window_time(starting timestamptz, every interval, time_zone text, number bigint)
returns timestamptz
language sql stable parallel safe
return case
    -- Hours and minutes alone are as long as they are: reckoned on the clock of the wall, an hour would be lost or doubled twice a year.
    when window_time.every < interval '1 day' then window_time.starting + window_time.number * window_time.every
    -- From the start each time, never from the window before: the 31st does not become the 28th for good, nor 02:30 03:30.
    else (window_time.starting at time zone window_time.time_zone + window_time.number * window_time.every) at time zone window_time.time_zone
end;

comment on function internal.window_time(timestamptz, interval, text, bigint) is
'Gives the start of a window of a schedule by its number, from 0.

every of a day or more is reckoned in the calendar of time_zone (at 03:00 local time, whatever the clocks do), less than a day in
elapsed time. A local time that a change of clocks leaves out is the moment after the gap; one that comes twice is the second.';

create function internal.window_number(starting timestamptz, every interval, time_zone text, moment timestamptz)
returns bigint
language sql stable parallel safe
begin atomic
    -- A month has 30.436875 days on the average: the estimate is off by two days at the most, whatever the calendar.
    select max(n.number)
    from (
        select (extract(year from window_number.every) * 12 + extract(month from window_number.every)) * 30.436875 * 86400 as of_months,
            extract(epoch from window_number.every - date_trunc('month', window_number.every)) as of_the_rest
    ) as s
    cross join lateral (
        select floor(extract(epoch from window_number.moment - window_number.starting) / (s.of_months + s.of_the_rest))::bigint as about
    ) as e
    cross join lateral generate_series(greatest(e.about - 3, 0), e.about + 3) as n (number)
    where internal.window_time(window_number.starting, window_number.every, window_number.time_zone, n.number) <= window_number.moment;
end;

comment on function internal.window_number(timestamptz, interval, text, timestamptz) is
'Numbers the last window of a schedule that has begun at a moment, from 0; NULL before the first.';

create function internal.next_window(starting timestamptz, every interval, time_zone text, moment timestamptz)
returns timestamptz
language sql stable parallel safe
begin atomic
    select min(w.starts_at)
    from (
        select coalesce(internal.window_number(next_window.starting, next_window.every, next_window.time_zone, next_window.moment), -1) as last
    ) as l
    -- More than one: where a day is left out (Apia, 2011-12-30) two windows are one moment.
    cross join lateral generate_series(l.last + 1, l.last + 3) as n (number)
    cross join lateral (
        select internal.window_time(next_window.starting, next_window.every, next_window.time_zone, n.number) as starts_at
    ) as w
    where w.starts_at > next_window.moment;
end;

comment on function internal.next_window(timestamptz, interval, text, timestamptz) is 'Gives the start of the first window of a schedule after a moment.';
