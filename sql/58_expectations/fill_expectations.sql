create function internal.fill_expectations()
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
    filled_count bigint;
begin
    -- By layer of the opening stock: E = m / g(t), lost before E S(t), lost since E (S(t+d) - S(t)). Layers are the terms that
    -- live through the whole period; without batch ages they start at age 0.
    with curve as materialized (
        select distinct on (f.nomenclature_id) f.nomenclature_id, f.family, f.coefficient_a as a, f.coefficient_b as b, f.coefficient_c as c
        from core.coefficients as f
        inner join core.model_versions as m on m.id = f.model_id and m.model = 'shrinkage'
        where f.outcome <> 'failed' and m.deployed_at is not null
        order by f.nomenclature_id, m.status = 'deployed' desc, f.model_id desc
    )
    -- In place, with subscripts: a join of the table with itself, and unnest of four arrays a row, take three times as long.
    update core.calculation_data as c
    set (adjusted_shrinkage_rate, pre_shrinkage_amount) = (
        select
            case when sum(s.mass) > 0
                then sum(s.mass * (least(s.after, 1) - least(s.before, 1)) / greatest(1 - s.before, 0.02)) / sum(s.mass)
                else max(least(bi.curve_loss(k.family, k.a, k.b, k.c, s.days), 1)) end,
            case when c.pre_shrinkage_days is not null and abs(sum(s.lost_before)) < 99999999999 then sum(s.lost_before) end
        from (
            select l.mass, l.days, l.before, l.after, l.mass * l.before / greatest(1 - l.before, 0.02) as lost_before
            from (
                select c.term_mass[t.i] as mass, p.days,
                    bi.curve_loss(k.family, k.a, k.b, k.c, c.term_age_from[t.i]) as before,
                    bi.curve_loss(k.family, k.a, k.b, k.c, c.term_age_from[t.i] + p.days) as after
                from (select extract(epoch from c.calculation_date - c.inventory_period_start)::float8 / 86400 as days) as p
                left join (select generate_subscripts(c.term_mass, 1) as i) as t
                    on c.term_mass[t.i] > 0 and not c.term_is_receipt[t.i] and c.term_age_to[t.i] - c.term_age_from[t.i] >= p.days - 1e-6
                offset 0  -- each curve_loss once
            ) as l
        ) as s
    )
    from curve as k
    where k.nomenclature_id = c.nomenclature_id
      -- A case: how many are NULL is never what the statistics say (they saw the table filled), and a nested loop takes minutes.
      and case when c.adjusted_shrinkage_rate is null then true else false end;
    get diagnostics filled_count = row_count;
    return filled_count;
end
$$;

comment on function internal.fill_expectations() is
'Fills what a curve says of periods that have no such figures yet: adjusted_shrinkage_rate, pre_shrinkage_amount.

What an earlier curve said of an older period stays: it is what was known then. Returns how many rows were filled.';
