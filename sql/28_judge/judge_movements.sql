create function internal.judge_movements(options jsonb, plain boolean)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
    decimal_mark text := options ->> 'decimal';
    default_warehouse text := coalesce(options ->> 'warehouse', 'main');
    -- A day for clocks that are wrong.
    latest timestamptz := now() + interval '1 day';
begin
    create temp table if not exists judged (
        line int, nomenclature_id int, warehouse_id int, posted_at timestamptz, operation text, document_number text,
        batch_received_at timestamptz, in_kg numeric, out_kg numeric, reason text, column_name text, key_hash bigint
    ) on commit drop;
    truncate pg_temp.judged;

    -- Texts become values once (materialized: a planner that flattens this parses each number eight times), then mass
    -- goes to its side and the row gets its verdict.
    insert into pg_temp.judged
    with warehouse as materialized (
        select coalesce(s.warehouse, '') as raw, w.id
        from (select distinct g.warehouse from staging.row as g) as s
        inner join core.warehouses as w on w.name = coalesce(internal.normalize_name(s.warehouse), default_warehouse)
    ), operation as materialized (
        select s.document_type as raw, m.operation
        from (select distinct d.document_type from staging.row as d where d.document_type is not null) as s
        inner join core.operation_mapping as m
            on m.document_type = replace(lower(internal.normalize_name(s.document_type)), 'ё', 'е')
    ), parsed as materialized (
        select r.line, a.nomenclature_id, w.id as warehouse_id, r.document_number, r.unit,
            case when plain and r.posted_at like '20__-__-__ __:__:__' then r.posted_at::timestamptz else p.at end as posted_at,
            case when r.posted_at is null then 'missing_date' else p.problem end as posted_problem,
            case when plain and r.batch like '20__-__-__ __:__:__' then r.batch::timestamptz else b.at end as batch_at,
            b.problem as batch_problem,
            case when r.document_type is not null then o.operation
                when r.incoming is not null and r.outgoing is null then 'receipt'
                when r.outgoing is not null and r.incoming is null then 'sale'
            end as operation,
            case when plain then r.incoming::numeric else internal.read_number(r.incoming, decimal_mark) end as incoming,
            case when plain then r.outgoing::numeric else internal.read_number(r.outgoing, decimal_mark) end as outgoing,
            case when plain then r.quantity::numeric else internal.read_number(r.quantity, decimal_mark) end as quantity
        from staging.row as r
        left join core.nomenclature_alias as a on a.raw_name = r.item and a.raw_type = coalesce(r.product_type, '')
        left join warehouse as w on w.raw = coalesce(r.warehouse, '')
        left join pg_temp.stamp as p on p.value = r.posted_at
        left join pg_temp.stamp as b on b.value = r.batch
        left join operation as o on o.raw = r.document_type
    ), sided as (
        select q.line, q.nomenclature_id, q.warehouse_id, q.posted_at, q.operation, q.batch_at,
            coalesce(q.document_number, '') as document_number,
            -- Negative on one side is positive on the other: a return, or a correction.
            case
                when q.quantity is not null then case
                    when q.operation in ('opening', 'receipt', 'production', 'transfer_in', 'return') then q.quantity
                    when q.operation in ('stock_take', 'transfer', 'regrading') then greatest(q.quantity, 0)
                    else 0
                end
                when q.incoming >= 0 and q.outgoing >= 0 then q.incoming
                else greatest(coalesce(q.incoming, 0), 0) - least(coalesce(q.outgoing, 0), 0)
            end * case when q.unit is null then 1 else internal.unit_factor(q.unit) end as in_kg,
            case
                when q.quantity is not null then case
                    when q.operation in ('sale', 'consumption', 'write_off', 'transfer_out') then q.quantity
                    when q.operation in ('stock_take', 'transfer', 'regrading') then greatest(-q.quantity, 0)
                    else 0
                end
                when q.incoming >= 0 and q.outgoing >= 0 then q.outgoing
                else greatest(coalesce(q.outgoing, 0), 0) - least(coalesce(q.incoming, 0), 0)
            end * case when q.unit is null then 1 else internal.unit_factor(q.unit) end as out_kg,
            case
                when q.nomenclature_id is not null and q.posted_at <= latest and q.posted_problem is null and q.batch_problem is null
                    and q.operation is not null and q.unit is null
                    and q.incoming between -99999999999 and 99999999999 and q.outgoing between -99999999999 and 99999999999
                    then null
                when q.nomenclature_id is null then 'missing_item'
                when q.posted_problem is not null then q.posted_problem
                when q.batch_problem is not null then q.batch_problem
                when q.posted_at > latest then 'date_in_future'
                when q.operation is null then 'unknown_operation'
                when q.unit is not null and internal.unit_factor(q.unit) is null then 'unit_not_mass'
                when q.incoming in ('NaN', 'Infinity', '-Infinity') or q.outgoing in ('NaN', 'Infinity', '-Infinity')
                    or q.quantity in ('NaN', 'Infinity', '-Infinity') then 'not_a_number'
                when q.incoming is null and q.outgoing is null and q.quantity is null then 'missing_quantity'
                when greatest(abs(q.incoming), abs(q.outgoing), abs(q.quantity)) > 99999999999 then 'too_large'
            end as reason,
            case
                when q.incoming not between -99999999999 and 99999999999 then 'incoming'
                when q.outgoing not between -99999999999 and 99999999999 then 'outgoing'
                else 'quantity'
            end as quantity_column
        from parsed as q
    ), placed as materialized (
        select t.line, t.nomenclature_id, t.warehouse_id, t.posted_at,
            case t.operation
                when 'transfer' then case when t.in_kg > 0 then 'transfer_in' else 'transfer_out' end
                when 'sale' then case when t.in_kg > 0 and t.out_kg = 0 then 'return' else 'sale' end
                else t.operation
            end as operation,
            t.document_number,
            case when t.batch_at is null and t.in_kg > 0 and t.operation <> 'stock_take' then t.posted_at else t.batch_at end as batch_received_at,
            t.in_kg, t.out_kg, t.reason,
            case
                when t.reason is null then null
                when t.reason = 'missing_item' then 'item'
                when t.reason = 'unknown_operation' then 'document_type'
                when t.reason = 'unit_not_mass' then 'unit'
                when t.reason in ('not_a_number', 'missing_quantity', 'too_large') then t.quantity_column
                when t.posted_at is null or t.posted_at > latest then 'posted_at'
                else 'batch'
            end as column_name
        from sided as t
    )
    select d.*, internal.movement_key(d.warehouse_id, d.operation, d.document_number, d.batch_received_at)
    from placed as d;
end
$$;

comment on function internal.judge_movements(jsonb, boolean) is
'Gives every staging row of a block of movements its verdict, in pg_temp.judged: values, or the reason to reject it.

plain: stamps spelt yyyy-mm-dd hh:mm:ss are cast in the session''s zone, numbers as PostgreSQL reads them; false takes stamps
from pg_temp.stamp and numbers as people write them. Raises 22xxx when plain and one of them is none: call again with false.';
