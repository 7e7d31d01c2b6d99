create function internal.remember_names(default_warehouse text, time_zone text)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
as $$
declare
    known int;
begin
    select coalesce(max(m.spelling), 0) into known from staging.meaning as m;
    if not exists (select from staging.spelling as s where s.number > known) then
        return;
    end if;

    create temp table if not exists new_name (
        raw_name text, raw_type text, number int, name text, name_key text, item_group text,
        product_type text, product_type_code text, nomenclature_id int
    ) on commit drop;
    truncate pg_temp.new_name;

    insert into core.warehouses (name, time_zone)
    select distinct coalesce(internal.normalize_name(n.warehouse), remember_names.default_warehouse), coalesce(remember_names.time_zone, 'UTC')
    from (select distinct s.warehouse from staging.spelling as s where s.number > known and s.item <> '') as n
    where not exists (
        select from core.warehouses as w
        where w.name = coalesce(internal.normalize_name(n.warehouse), remember_names.default_warehouse)
    )
    on conflict do nothing;

    insert into pg_temp.new_name (raw_name, raw_type, number, name, name_key, item_group, product_type, product_type_code)
    with spelling as materialized (
        select s.item as raw_name, s.product_type as raw_type, min(nullif(s.item_group, '')) as item_group, min(s.number) as number
        from staging.spelling as s
        where s.number > known and s.item <> ''
          and not exists (
              select from core.nomenclature_alias as a where a.raw_name = s.item and a.raw_type = s.product_type
          )
        group by s.item, s.product_type
    )
    select n.raw_name, n.raw_type, n.number, internal.normalize_name(n.raw_name), internal.name_key(n.raw_name), n.item_group,
           coalesce(lower(internal.normalize_name(n.raw_type)), rule.product_type),
           coalesce(known.code, lower(internal.normalize_name(n.raw_type)), rule.code)
    from spelling as n
    cross join lateral internal.classify_product(n.raw_name) as rule
    left join lateral (
        select m.code from core.product_type_mapping as m
        where m.product_type = lower(internal.normalize_name(n.raw_type)) order by m.rule_order limit 1
    ) as known on true
    where internal.normalize_name(n.raw_name) is not null;

    if found then
        -- A file that says no type means the product it names, whatever its type.
        update pg_temp.new_name as n
        set nomenclature_id = (select min(p.id) from core.nomenclature as p where p.name_key = n.name_key having count(*) = 1)
        where n.raw_type = '';

        insert into core.nomenclature (name, name_key, product_type, product_type_code, item_group, validation_flags)
        select distinct on (n.name_key, n.product_type)
            n.name, n.name_key, n.product_type, n.product_type_code, internal.normalize_name(n.item_group),
            case when n.product_type = 'unknown' then '["unknown_product_type"]'::jsonb else '[]'::jsonb end
        from pg_temp.new_name as n
        where n.nomenclature_id is null
        order by n.name_key, n.product_type, n.number
        on conflict do nothing;

        insert into core.nomenclature_alias (raw_name, raw_type, nomenclature_id)
        select n.raw_name, n.raw_type, coalesce(n.nomenclature_id, p.id)
        from pg_temp.new_name as n
        left join core.nomenclature as p on p.name_key = n.name_key and p.product_type = n.product_type
        on conflict do nothing;
    end if;

    insert into staging.meaning (spelling, nomenclature_id, warehouse_id)
    with warehouse as materialized (
        select d.warehouse as raw, w.id
        from (select distinct s.warehouse from staging.spelling as s where s.number > known) as d
        inner join core.warehouses as w on w.name = coalesce(internal.normalize_name(d.warehouse), remember_names.default_warehouse)
    )
    select s.number, a.nomenclature_id, w.id
    from staging.spelling as s
    left join core.nomenclature_alias as a on a.raw_name = s.item and a.raw_type = s.product_type
    left join warehouse as w on w.raw = s.warehouse
    where s.number > known;
end
$$;

comment on function internal.remember_names(text, text) is
'Gives every warehouse and product of staging.spelling its row and every new spelling its alias; fills staging.meaning.

What staging.meaning knows already stays. default_warehouse stands for rows that name none; time_zone is that of new warehouses.';
