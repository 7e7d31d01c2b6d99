create or replace view bi.unexplained_largest as
select row_number() over (order by sum(u.unexplained_kg) desc, u.item_id) as rank, u.item_id, u.item, u.product_type,
    count(*) as period_count, sum(u.shortage_kg) as shortage_kg, sum(u.expected_kg) as expected_kg, sum(u.unexplained_kg) as unexplained_kg,
    max(u.time) filter (where u.unexplained_kg > 0) as time
from bi.shrinkage_unexplained as u
group by u.item_id, u.item, u.product_type
having sum(u.unexplained_kg) > 0
order by sum(u.unexplained_kg) desc, u.item_id
limit 10;

comment on view bi.unexplained_largest is 'The ten products that lose most beyond what drying and the resolution of the counts explain.';
comment on column bi.unexplained_largest.rank is '1 loses most.';
comment on column bi.unexplained_largest.item_id is 'Key of the product (bi.dim_item).';
comment on column bi.unexplained_largest.item is 'Name of the product.';
comment on column bi.unexplained_largest.product_type is 'Product type.';
comment on column bi.unexplained_largest.period_count is 'Closed inventory periods.';
comment on column bi.unexplained_largest.shortage_kg is 'Missing at counts, kg.';
comment on column bi.unexplained_largest.expected_kg is 'Loss by drying the curves expect, kg.';
comment on column bi.unexplained_largest.unexplained_kg is 'Shortage above the upper 95 % bound of each period, kg.';
comment on column bi.unexplained_largest.time is 'The last count with such a loss.';
