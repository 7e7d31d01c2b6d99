create function internal.fill_expectations()
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
    filled_count bigint;
begin
    update core.calculation_data as c
    set adjusted_shrinkage_rate = q.rate, pre_shrinkage_amount = q.lost_before
    from (
        select d.id, d.calculation_date,
            internal.batch_loss(k.family, k.coefficient_a, k.coefficient_b, k.coefficient_c, coalesce(d.pre_shrinkage_days, 0),
                extract(epoch from d.calculation_date - d.inventory_period_start)::float8 / 86400) as rate,
            d.initial_balance::float8 * bi.curve_loss(k.family, k.coefficient_a, k.coefficient_b, k.coefficient_c, d.pre_shrinkage_days)
                / nullif(1 - bi.curve_loss(k.family, k.coefficient_a, k.coefficient_b, k.coefficient_c, d.pre_shrinkage_days), 0) as lost_before
        from core.calculation_data as d
        inner join (
            select distinct on (f.nomenclature_id) f.* from core.coefficients as f
            where f.outcome <> 'failed' order by f.nomenclature_id, f.model_id desc
        ) as k on k.nomenclature_id = d.nomenclature_id
        where d.adjusted_shrinkage_rate is null
    ) as q
    where c.id = q.id and c.calculation_date = q.calculation_date and q.rate is not null;
    get diagnostics filled_count = row_count;
    return filled_count;
end
$$;

comment on function internal.fill_expectations() is
'Fills what a curve says of periods that have no such figures yet: adjusted_shrinkage_rate, pre_shrinkage_amount.

What an earlier curve said of an older period stays: it is what was known then. Returns how many rows were filled.';
