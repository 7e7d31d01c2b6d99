create function internal.surplus_in_force()
returns table (nomenclature_id int, first_day date, last_day date, month int, surplus float8, source text)
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
    -- Where the receipt itself states a surplus, that comes first: no format read today does, so nothing stands here for it.
    with said as materialized (
        select s.nomenclature_id, s.specification_start_date as first_day, coalesce(s.specification_end_date, 'infinity') as last_day,
            null::int as month, s.surplus_percentage as surplus, 'specification ' || s.id as source, 1 as rank, s.id as entry
        from core.surplus_specifications as s
        where s.is_active
        union all
        select coalesce(p.nomenclature_id, n.id), coalesce(p.valid_from, '-infinity'), 'infinity', p.condition_month, p.surplus_percentage,
            'pattern ' || p.id,
            -- The closer condition first: product, type, all; of each kind, one month before the whole year.
            case when p.nomenclature_id is not null then 2 when p.product_type is not null then 4 else 6 end
            + case when p.condition_month is null then 1 else 0 end, p.id
        from core.surplus_patterns as p
        left join core.nomenclature as n on p.nomenclature_id is null and (p.product_type is null or n.product_type = p.product_type)
        where p.is_active and coalesce(p.nomenclature_id, n.id) is not null
    ), piece as (
        -- Between the days on which anything begins or ends, and within a month where months count, one answer holds.
        select e.nomenclature_id, e.starts_on as first_day,
            coalesce(lead(e.starts_on) over (partition by e.nomenclature_id order by e.starts_on) - 1, 'infinity') as last_day
        from (
            select a.nomenclature_id, a.first_day as starts_on from said as a
            union
            select a.nomenclature_id, a.last_day + 1 from said as a where a.last_day < 'infinity'
        ) as e
    ), monthly as (
        select a.nomenclature_id, m.month
        from said as a
        cross join generate_series(1, 12) as m (month)
        where a.month is not null
        group by a.nomenclature_id, m.month
    )
    select distinct on (p.nomenclature_id, p.first_day, m.month)
        p.nomenclature_id, p.first_day, p.last_day, m.month, a.surplus, a.source
    from piece as p
    left join monthly as m on m.nomenclature_id = p.nomenclature_id
    inner join said as a
        on a.nomenclature_id = p.nomenclature_id and a.first_day <= p.first_day and a.last_day >= p.last_day
        and (a.month is null or a.month = m.month)
    order by p.nomenclature_id, p.first_day, m.month, a.rank, -a.entry;
end;

comment on function internal.surplus_in_force() is
'Tells which surplus applies to receipts of which product on which days: at most one row for a receipt.

surplus is a fraction; month NULL = every month; source is specification or pattern with its id, as the accounting stores it.
Order of precedence: specification, pattern of the product, pattern of its type, pattern for all; a pattern for one month before
one for the whole year. Only active patterns apply, accepted ones from the first day of the data they were found in. For
documented receipts alone: no opening, transfer, return or re-grading.';
