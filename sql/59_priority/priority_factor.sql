create function internal.priority_factor(period_start timestamptz, period_end timestamptz)
returns float8
language sql stable parallel safe
return coalesce((
    select 1 + o.overlap * (o.multiplier - 1)
    from (
        select extract(epoch from least(p.period_end, priority_factor.period_end) - greatest(p.period_start, priority_factor.period_start))::float8
                / extract(epoch from priority_factor.period_end - priority_factor.period_start)::float8 as overlap,
            1 + (p.priority_level - 1) / 9.0::float8 * (internal.setting('priority.max_multiplier')::float8 - 1) as multiplier
        from core.priority_periods as p
        where p.active and p.period_start < priority_factor.period_end and p.period_end > priority_factor.period_start
    ) as o
    order by o.overlap * o.multiplier desc, o.multiplier desc
    limit 1
), 1);

comment on function internal.priority_factor(timestamptz, timestamptz) is
'How many times an inventory period counts because of priority periods: 1 + overlap (multiplier - 1), multiplier 1 to 3 by level.

overlap is the share of the inventory period inside. Of several priority periods the one with the largest overlap x multiplier
decides. 1 outside of all, and for a period of no length. A test holds bi.shrinkage_weighted to it.';
