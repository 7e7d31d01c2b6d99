create or replace view bi.shrinkage_by_cause as
with setting as (
    select max((s.value #>> '{}')::float8) filter (where s.name = 'fit.cv') as cv,
        max((s.value #>> '{}')::float8) filter (where s.name = 'norms.days_per_month') as days_per_month
    from core.settings as s
), curve as (
    select k.nomenclature_id, k.id as coefficient_id, k.family, k.coefficient_a as a, k.coefficient_b as b, k.coefficient_c as c
    from core.coefficients as k
    inner join core.model_versions as m on m.id = k.model_id and m.model = 'shrinkage' and m.status = 'deployed'
    where k.outcome <> 'failed'
), candidate as (
    -- What may hold for a product in a warehouse, the closest first; the day of the count tells which of them does.
    select i.item_id, p.warehouse_id, array_agg(n.id order by o.closeness, n.id) as norm_ids,
        array_agg(n.months order by o.closeness, n.id) as months,
        array_agg(daterange(n.valid_from, n.valid_to, '[]') order by o.closeness, n.id) as days
    from core.norms as n
    inner join bi.norm_item as i on i.norm_id = n.id
    inner join core.norm_profiles as p
        on p.storage_mode = n.storage_mode
        and (n.climate_group is null or n.climate_group = p.climate_group)
        and (n.store_group is null or n.store_group = p.store_group)
        and (n.packaging is null or n.packaging = p.packaging)
        and (n.temperature_from is null and n.temperature_to is null or numrange(n.temperature_from, n.temperature_to) @> p.temperature)
    cross join lateral (
        select array[
                array_position(array['product', 'name', 'group', 'type'], n.matched_by),
                num_nulls(n.climate_group, n.store_group, n.packaging, coalesce(n.temperature_from, n.temperature_to), n.month_from),
                -length(n.match_key)
            ] as closeness
    ) as o
    group by i.item_id, p.warehouse_id
), named as (
    select n.id as norm_id, n.kind, n.half_day,
        concat_ws(', ', n.product_group, n.storage_mode, 'climate ' || n.climate_group, 'store group ' || n.store_group,
            'months ' || n.month_from || '-' || n.month_to, n.packaging, n.document) as label
    from core.norms as n
), step as (
    -- What the last step has come to holds on.
    select s.norm_id, s.step_above, s.step_to, s.percent, s.add_per_day, s.step_above::float8 as holds_above,
        case when lead(s.step_above) over (partition by s.norm_id order by s.step_above) is null then 'infinity' else s.step_to::float8 end as holds_to
    from core.norm_steps as s
)
select r.calculation_date as time, r.inventory_period_start as period_start, r.item_id, r.item, r.product_type, r.warehouse_id, r.warehouse,
    r.shortage_kg, r.surplus_kg, r.norm_kg, case when r.norm_kg is not null then least(r.shortage_kg, r.norm_kg) end as within_norm_kg,
    case when r.norm_kg is not null then greatest((r.shortage_kg::numeric - r.norm_kg::numeric)::float8, 0) end as above_norm_kg,
    r.expected_kg, e.explained_up_to_kg,
    case when r.expected_kg is not null then greatest(0, r.shortage_kg - e.explained_up_to_kg) end as unexplained_kg,
    case
        when r.norm_kg is null then 'no_norm'
        when r.shortage_kg <= r.norm_kg then 'within_norm'
        when r.shortage_kg <= e.explained_up_to_kg then 'above_norm_but_expected'
        else 'unexplained'
    end as verdict,
    r.norm_id, r.label as norm, r.kind as norm_kind, r.percent::float8 as norm_percent, r.turnover_kg,
    r.kg_days / nullif(r.days, 0) as average_stock_kg, r.days as period_days, case when r.kind = 'stepped' then r.place end as storage_term_days,
    case when r.kind = 'stepped' then case when r.has_ages then 'batches' else 'average' end end as storage_term_from,
    case
        when not r.has_profile then 'the warehouse has no profile: api.set_norm_profile()'
        when r.norm_id is null then 'no norm is for this product, place and day'
        when r.norm_kg is null and r.kind = 'transport' then 'the warehouse has no distance: api.set_norm_profile()'
        when r.norm_kg is null then 'the stock over the period is not known'
    end as reason,
    r.inventory_confidence as confidence, r.validation_errors as flags, r.manual_review_required as is_in_review
from (
    select n.*,
        -- To the gram, as the stock is.
        round((n.percent::float8 * case when n.kind = 'monthly' then n.kg_days / n.days_per_month else n.turnover_kg end / 100)::numeric, 3)::float8
        as norm_kg,
        clock_timestamp() as once
    from (
        select b.*,
            case
                when m.norm_id is not null then bi.step_percent(m.percent, m.add_per_day, m.step_above, m.step_to, b.place::numeric)
                when b.place = 0 then 0
            end as percent
        from (
            select t.*,
                case t.kind
                    when 'turnover' then 1
                    when 'transport' then t.distance_km::float8
                    -- Which month of storage the stock is in.
                    when 'monthly' then greatest(ceil(coalesce(t.storage_days, t.days) / t.days_per_month), 1)
                    when 'stepped' then
                        case
                            when t.turnover_kg = 0 then 0
                            when t.half_day and t.term > 0 and t.term <= 0.5 + 1e-9 then 0.5
                            when t.half_day and t.term > 0 and t.term <= 1 + 1e-9 then 1
                            -- Half up, and not longer than the inventory period. A sum that is a hair below a half is a half.
                            when t.term is not null then least(floor(t.term + 0.5 + 1e-9), floor(t.days + 0.5))
                        end
                end as place,
                clock_timestamp() as placed
            from (
                select p.*, coalesce(p.since_empty[1], p.outgoing_kg) as turnover_kg,
                    case
                        when p.has_ages then p.batch_term
                        else coalesce(p.since_empty[2], p.kg_days) / nullif(coalesce(p.since_empty[1], p.outgoing_kg), 0)
                    end as term
                from (
                    select d.calculation_date, d.inventory_period_start, i.id as item_id, i.name as item, i.product_type, w.id as warehouse_id,
                        w.name as warehouse,
                        d.inventory_shrinkage_total::float8 as shortage_kg, d.surplus_kg::float8 as surplus_kg, greatest(d.outgoing, 0)::float8 as outgoing_kg,
                        d.kg_days, d.storage_days, d.count_sigma_kg, d.inventory_confidence, d.validation_errors, d.manual_review_required, g.days, g.has_ages,
                        f.warehouse_id is not null as has_profile, f.distance_km, k.norm_id, k.kind, k.half_day, k.label, s.cv, s.days_per_month,
                        case when u.family is not null
                            then coalesce(x.expected_kg, bi.expected_loss(u.family, u.a, u.b, u.c, d.term_mass, d.term_age_from, d.term_age_to))
                        end as expected_kg,
                        -- By batch: how long what went out had been there, of each no longer than the period.
                        case when k.kind = 'stepped' and g.has_ages then (
                            select sum(d.term_mass[y.j] * least(d.term_age_from[y.j], g.days)) / nullif(sum(d.term_mass[y.j]), 0)
                            from (select generate_subscripts(d.term_mass, 1) as j) as y
                            where d.term_mass[y.j] < 0
                        ) end as batch_term,
                        -- Without batches the term is average stock / one-day turnover. Where a day ended with nothing left and more came later,
                        -- what was turned over until then is left out; the book since is the sum of what changed since.
                        case when k.kind = 'stepped' and not g.has_ages and d.mode = 'posted' then (
                            select array[coalesce(-sum(b.mass) filter (where b.mass < 0), 0), sum(b.mass * b.days_left)]
                            from (
                                select o.mass, o.days_left, o.day,
                                max(o.day) filter (where o.book <= 0.0005 and o.day < o.last_came) over () as empty_on
                                from (
                                    select v.mass, v.days_left, v.day, sum(v.mass) over (order by v.day) as book,
                                        max(v.day) filter (where v.mass > 0) over () as last_came
                                    from (
                                        select h.mass, h.age_to - h.age_from as days_left,
                                            ((d.calculation_date - (h.age_to - h.age_from) * interval '1 day') at time zone w.time_zone)::date
                                        as day
                                        from unnest(d.term_mass, d.term_age_from, d.term_age_to) as h (mass, age_from, age_to)
                                    ) as v
                                ) as o
                            ) as b
                            where b.empty_on is null or b.day > b.empty_on
                        ) end as since_empty,
                        -- Volatile: what was worked out above is not worked out again wherever it is used, and a product asked for is still found first.
                        clock_timestamp() as worked_out
                    from core.calculation_data as d
                    inner join core.nomenclature as i on i.id = d.nomenclature_id
                    inner join core.warehouses as w on w.id = d.warehouse_id
                    cross join setting as s
                    left join core.norm_profiles as f on f.warehouse_id = d.warehouse_id
                    left join candidate as c on c.item_id = d.nomenclature_id and c.warehouse_id = d.warehouse_id
                    left join curve as u on u.nomenclature_id = d.nomenclature_id
                    left join core.period_expectation as x on x.calculation_data_id = d.id and x.coefficient_id = u.coefficient_id
                    cross join lateral (
                        select extract(epoch from d.calculation_date - d.inventory_period_start)::float8 / 86400 as days,
                            d.term_mass is not null and not 'no_batch_ages' = any(d.flags) as has_ages,
                            -- A count at midnight closes the day before.
                            ((d.calculation_date - interval '1 second') at time zone w.time_zone)::date as counted_on
                    ) as g
                    left join named as k on k.norm_id = case
                        -- Most products have a handful.
                        when c.days[1] @> g.counted_on and c.months[1] @> extract(month from g.counted_on)::int then c.norm_ids[1]
                        when c.days[2] @> g.counted_on and c.months[2] @> extract(month from g.counted_on)::int then c.norm_ids[2]
                        when c.days[3] @> g.counted_on and c.months[3] @> extract(month from g.counted_on)::int then c.norm_ids[3]
                        when c.days[4] @> g.counted_on and c.months[4] @> extract(month from g.counted_on)::int then c.norm_ids[4]
                        when cardinality(c.norm_ids) > 4 then (
                            select q.norm_id
                            from unnest(c.norm_ids, c.months, c.days) with ordinality as q (norm_id, months, days, place)
                            where q.days @> g.counted_on and q.months @> extract(month from g.counted_on)::int
                            order by q.place
                            limit 1
                        )
                    end
                    where d.mode <> 'open' and d.inventory_shrinkage_total is not null
                ) as p
            ) as t
        ) as b
        left join step as m on m.norm_id = b.norm_id and b.place > m.holds_above and b.place <= m.holds_to
    ) as n
) as r
cross join lateral (
    select bi.explained_up_to(r.expected_kg, r.count_sigma_kg, r.cv) as explained_up_to_kg
) as e;

comment on view bi.shrinkage_by_cause is
'Splits each shortage by the norm of natural loss, and says what the curve expected: norm, model and fact side by side.

A norm is that of the profile of the warehouse (core.norm_profiles) and of the day of the count. turnover: outgoing x percent. stepped:
outgoing x percent at the storage term. monthly: average stock x percent x months. transport: outgoing x percent at the distance. A
surplus is no shortage: nothing of it is within a norm.';
comment on column bi.shrinkage_by_cause.time is 'The count.';
comment on column bi.shrinkage_by_cause.period_start is 'The count before.';
comment on column bi.shrinkage_by_cause.item_id is 'Key of the product (bi.dim_item).';
comment on column bi.shrinkage_by_cause.item is 'Name of the product.';
comment on column bi.shrinkage_by_cause.product_type is 'Product type.';
comment on column bi.shrinkage_by_cause.warehouse_id is 'Key of the warehouse (bi.dim_store).';
comment on column bi.shrinkage_by_cause.warehouse is 'Name of the warehouse.';
comment on column bi.shrinkage_by_cause.shortage_kg is 'Missing at the count, kg; 0 within tolerance.';
comment on column bi.shrinkage_by_cause.surplus_kg is 'Too much at the count, kg; 0 within tolerance.';
comment on column bi.shrinkage_by_cause.norm_kg is 'Natural loss the norm allows for the period, kg, to the gram; NULL = no norm holds, see reason.';
comment on column bi.shrinkage_by_cause.within_norm_kg is 'The part of the shortage within the norm, kg; NULL without a norm.';
comment on column bi.shrinkage_by_cause.above_norm_kg is 'The rest of it, kg; NULL without a norm.';
comment on column bi.shrinkage_by_cause.expected_kg is 'Loss by drying the curve expects, kg; NULL = no curve.';
comment on column bi.shrinkage_by_cause.explained_up_to_kg is 'Upper 95 % bound of what drying and the resolution of the count explain, kg; NULL = no curve.';
comment on column bi.shrinkage_by_cause.unexplained_kg is 'Shortage above that bound, kg; NULL = no curve.';
comment on column bi.shrinkage_by_cause.verdict is
'within_norm; above_norm_but_expected: the norm is too small for this product; unexplained: above the norm and what the curve explains; no_norm.';
comment on column bi.shrinkage_by_cause.norm_id is 'Key of the norm used (bi.norm); NULL = none.';
comment on column bi.shrinkage_by_cause.norm is 'The norm used, in words; NULL = none.';
comment on column bi.shrinkage_by_cause.norm_kind is 'turnover, stepped, monthly or transport; NULL = none.';
comment on column bi.shrinkage_by_cause.norm_percent is 'Percent of the norm at the storage term, the month of storage or the distance; NULL = none.';
comment on column bi.shrinkage_by_cause.turnover_kg is
'Went out on documents, kg; for a storage term by averages without what went out before a day that ended with nothing left.';
comment on column bi.shrinkage_by_cause.average_stock_kg is 'Average book over the period, kg; NULL = not known.';
comment on column bi.shrinkage_by_cause.period_days is 'Length of the period, days.';
comment on column bi.shrinkage_by_cause.storage_term_days is
'Storage term of what went out, days, rounded half up, at most the period; NULL unless the norm is by days of storage.';
comment on column bi.shrinkage_by_cause.storage_term_from is 'batches: the ages are known; average: average stock / one-day turnover; NULL as above.';
comment on column bi.shrinkage_by_cause.reason is 'Why there is no norm; NULL = there is.';
comment on column bi.shrinkage_by_cause.confidence is 'How far the difference can be trusted, 0 to 1.';
comment on column bi.shrinkage_by_cause.flags is 'What is wrong with the period; NULL = nothing.';
comment on column bi.shrinkage_by_cause.is_in_review is 'Whether a person should look.';
