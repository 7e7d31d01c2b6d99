create function api.list_coefficients(
    item text default null, product_type text default null, version int default null, status text default null, outcome text default null,
    family text default null, from_time timestamptz default null, to_time timestamptz default null, page_size int default 50,
    after text default null
)
returns table (
    at timestamptz, coefficient_id bigint, item_id int, item text, product_type text, version int, status text, family text, a float8,
    b float8, c float8, se_a float8, se_b float8, se_c float8, age_min_days float8, age_max_days float8, period_count int,
    loss_percent_14_days float8, outcome text, reason text, cursor text
)
language sql stable
begin atomic
    select k.calculation_date, k.id, n.id as item_id, n.name as item, n.product_type, m.version, m.status, k.family, k.coefficient_a, k.coefficient_b,
        k.coefficient_c, k.se_a, k.se_b, k.se_c, k.age_min, k.age_max, k.period_count,
        100 * bi.curve_loss(k.family, k.coefficient_a, k.coefficient_b, k.coefficient_c, 14), k.outcome, k.reason,
        internal.cursor(k.calculation_date, k.id)
    from core.coefficients as k
    inner join core.model_versions as m on m.id = k.model_id
    inner join core.nomenclature as n on n.id = k.nomenclature_id
    where (list_coefficients.item is null or k.nomenclature_id = (select internal.find_item(list_coefficients.item)))
      and (list_coefficients.product_type is null or n.product_type = (select internal.find_type(list_coefficients.product_type)))
      and (list_coefficients.version is null or m.version = list_coefficients.version)
      and (list_coefficients.status is null or m.status = (
          select internal.one_of(list_coefficients.status, '{trained,deployed,archived,failed}', 'status')
      ))
      and (list_coefficients.outcome is null or k.outcome = (
          select internal.one_of(list_coefficients.outcome, '{fitted,pooled,type_curve,failed,restored}', 'outcome')
      ))
      and (list_coefficients.family is null or k.family = list_coefficients.family)
      and (list_coefficients.from_time is null or k.calculation_date >= list_coefficients.from_time)
      and (list_coefficients.to_time is null or k.calculation_date < list_coefficients.to_time)
      and (k.calculation_date, k.id) < (internal.cursor_time(list_coefficients.after), internal.cursor_number(list_coefficients.after, 2))
    order by k.calculation_date desc, k.id desc
    limit internal.page_size(list_coefficients.page_size);
end;

comment on function api.list_coefficients(text, text, int, text, text, text, timestamptz, timestamptz, int, text) is
'Pages through the fitted curves of all versions, newest first; status => ''deployed'' are those in force.

a is a fraction of mass, b in 1/day, c a fraction a day (other families: see core.coefficients). Filters NULL = any; page_size 1 to
1000; after: the column cursor of the last row you have. Raises 22023 for an unknown product, type, status, outcome or cursor.
Example: select item, a, b, c from api.list_coefficients(status => ''deployed'', outcome => ''fitted'');';
