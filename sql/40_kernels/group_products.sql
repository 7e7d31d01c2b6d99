create function internal.group_products(
    item bytea, loss bytea, kg_days bytea, age bytea, outgoing bytea, usable bytea, k int, tolerance_kg float8
)
returns text
language plpython3u immutable
set search_path = pg_catalog, pg_temp
as $python$
from weighhouse import clusters, pg
with pg.reporting(plpy):
    return clusters.find(item, loss, kg_days, age, outgoing, usable, k, tolerance_kg, pg.check_interrupts(plpy))
$python$;

comment on function internal.group_products(bytea, bytea, bytea, bytea, bytea, bytea, int, float8) is
'Groups products by rate of loss, age, variation and turnover of their periods.

Columns come as string_agg of int4send (product, from 0) and float8send (kg, kg x days, days, kg), a period each; usable an int4send a
product: 1 where it may stand for its cluster. k NULL = the silhouette decides. Returns JSON: k, silhouette, wcss, items. Raises
22023 for more clusters than different products. Can be cancelled.';
