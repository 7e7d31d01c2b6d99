create function internal.read_season(season text)
returns int []
language sql immutable parallel safe
begin atomic
    with cleaned as (
        select translate(lower(internal.normalize_name(read_season.season)), 'ё', 'е') as season
    ), part as (
        select c.season, regexp_match(c.season, '^(\d{1,2})(?: ?(?:-|–|\.\.) ?(\d{1,2}))?$') as months,
            regexp_match(c.season, '^(?:q ?([1-4])|([1-4]) ?(?:кв|квартал|quarter)\.?|(iv|i{1,3}) ?(?:кв|квартал|quarter)\.?)$') as quarters
        from cleaned as c
    ), quarter as (
        select p.season, p.months,
            coalesce(p.quarters[1]::int, p.quarters[2]::int, array_position(array['i', 'ii', 'iii', 'iv'], p.quarters[3])) as quarter
        from part as p
    ), read as (
        select case
                when q.quarter is not null then array[3 * q.quarter - 2, 3 * q.quarter]
                when q.months is not null then array[q.months[1]::int, coalesce(q.months[2], q.months[1])::int]
                when q.season in ('winter', 'зима', 'зимний') then array[12, 2]
                when q.season in ('spring', 'весна', 'весенний') then array[3, 5]
                when q.season in ('summer', 'лето', 'летний') then array[6, 8]
                when q.season in ('autumn', 'fall', 'осень', 'осенний') then array[9, 11]
            end as months
        from quarter as q
    )
    select case when 1 <= all(r.months) and 12 >= all(r.months) then r.months end from read as r;
end;

comment on function internal.read_season(text) is
'Reads a season as norms write it: 7 (a month), 10-3 (months, over New Year too), Q2, II квартал, winter, зима.

Returns its first and last month; NULL for what is none.';
