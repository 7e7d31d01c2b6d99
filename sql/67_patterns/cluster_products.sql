create function api.cluster_products(k int default null)
returns table (run_id int, status text, product_count int, cluster_count int, silhouette float8)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
    least_periods int := internal.setting('clusters.min_periods');
    items record;
    periods record;
    tolerance float8 := internal.setting('stock.tolerance_kg');
    hash text;
    grouping jsonb;
    known core.cluster_runs;
begin
    perform pg_advisory_xact_lock(x'57454943'::int);
    create temp table if not exists cluster_item (item int primary key, nomenclature_id int unique, is_usable boolean) on commit drop;
    truncate pg_temp.cluster_item;
    insert into pg_temp.cluster_item
    select row_number() over (order by c.nomenclature_id) - 1, c.nomenclature_id, coalesce(bool_or(f.is_usable), false)
    from core.calculation_data as c
    left join (
        -- A curve of its own is what a medoid is asked for.
        select x.nomenclature_id, true as is_usable
        from core.coefficients as x
        inner join core.model_versions as m on m.id = x.model_id and m.model = 'shrinkage' and m.status = 'deployed'
        where x.outcome in ('fitted', 'pooled')
    ) as f on f.nomenclature_id = c.nomenclature_id
    where c.is_valid_inventory_period and c.data_quality_flag <> 'filtered' and not c.flags && array['unit_jump', 'identity_residual']
      and c.difference_kg is not null and c.kg_days > 0
    group by c.nomenclature_id
    having count(*) >= least_periods;
    analyze pg_temp.cluster_item;

    select count(*)::int as item_count, string_agg(int4send(i.is_usable::int), ''::bytea order by i.item) as usable,
        string_agg(int4send(i.nomenclature_id), ''::bytea order by i.item) as ids
    into items
    from pg_temp.cluster_item as i;
    if items.item_count = 0 then
        raise exception 'no product has % valid periods', least_periods
            using errcode = 'ML101', hint = 'Import counts and run api.account_stock(), or lower clusters.min_periods in core.settings.';
    end if;
    product_count := items.item_count;

    select string_agg(int4send(i.item), ''::bytea order by i.item, c.calculation_date, c.warehouse_id) as item,
        string_agg(float8send((c.surplus_applied_kg - c.difference_kg)::float8), ''::bytea order by i.item, c.calculation_date, c.warehouse_id) as loss,
        string_agg(float8send(c.kg_days), ''::bytea order by i.item, c.calculation_date, c.warehouse_id) as kg_days,
        string_agg(float8send(case when 'no_batch_ages' = any(c.flags) then 'nan' else coalesce(c.storage_days, 'nan'::float8) end), ''::bytea
            order by i.item, c.calculation_date, c.warehouse_id) as age,
        string_agg(float8send(c.outgoing::float8), ''::bytea order by i.item, c.calculation_date, c.warehouse_id) as outgoing
    into periods
    from pg_temp.cluster_item as i
    inner join core.calculation_data as c on c.nomenclature_id = i.nomenclature_id
    where c.is_valid_inventory_period and c.data_quality_flag <> 'filtered' and not c.flags && array['unit_jump', 'identity_residual']
      and c.difference_kg is not null and c.kg_days > 0;
    hash := encode(sha256(
        convert_to(concat_ws('|', coalesce(k::text, 'auto'), tolerance, (select m.sha256 from core.python_module as m limit 1)), 'UTF8')
        || items.ids || items.usable || periods.item || periods.loss || periods.kg_days || periods.age || periods.outgoing
    ), 'hex');

    select r.* into known from core.cluster_runs as r order by r.id desc limit 1;
    if known.data_hash = hash then
        run_id := known.id;
        status := 'cached';
        cluster_count := known.cluster_count;
        silhouette := known.silhouette;
    else
        grouping := internal.group_products(
            periods.item, periods.loss, periods.kg_days, periods.age, periods.outgoing, items.usable, k, tolerance
        );
        status := 'clustered';
        cluster_count := (grouping ->> 'k')::int;
        silhouette := (grouping ->> 'silhouette')::float8;
        insert into core.cluster_runs (asked_count, product_count, cluster_count, silhouette, wcss, data_hash)
        values (k, items.item_count, cluster_products.cluster_count, cluster_products.silhouette, (grouping ->> 'wcss')::float8, hash)
        returning id into run_id;
        insert into core.product_clusters (run_id, nomenclature_id, label, is_medoid, rate, mean_age_days, variation, turnover_days)
        select cluster_products.run_id, i.nomenclature_id, g.label, g.is_medoid, g.rate, g.mean_age_days, g.variation, g.turnover_days
        from jsonb_to_recordset(grouping -> 'items') as g (
            item int, label int, is_medoid boolean, rate float8, mean_age_days float8, variation float8, turnover_days float8
        )
        inner join pg_temp.cluster_item as i on i.item = g.item;
    end if;
    return next;
end
$$;

comment on function api.cluster_products(int) is
'Groups products that shrink alike, by rate of loss, age of the stock, variation and turnover; the result is in bi.product_cluster.

k: how many clusters; NULL = 2 to 8 by the largest mean silhouette. With fewer than 10 products ln(rate) alone decides, exactly.
Clusters are numbered from 0 by rate; one product, the medoid, stands for each (api.suggested_coefficient). The same data and k make no
new run (status cached, else clustered); earlier runs are kept. Raises 22023 for an impossible k, ML101 where no product has enough
valid periods. Example: select * from api.cluster_products();';
