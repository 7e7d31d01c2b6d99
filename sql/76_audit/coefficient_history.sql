create function api.coefficient_history(item text)
returns table (
    version int, status text, fitted_at timestamptz, deployed_at timestamptz, retired_at timestamptz, family text, a float8, b float8,
    c float8, se_a float8, se_b float8, se_c float8, loss_percent_14_days float8, period_count int, outcome text, reason text
)
language sql stable
begin atomic
    select m.version, m.status, m.created_date, m.deployed_at, m.retired_at, k.family, k.coefficient_a, k.coefficient_b, k.coefficient_c,
        k.se_a, k.se_b, k.se_c, 100 * bi.curve_loss(k.family, k.coefficient_a, k.coefficient_b, k.coefficient_c, 14), k.period_count,
        k.outcome, k.reason
    from core.coefficients as k
    inner join core.model_versions as m on m.id = k.model_id and m.model = 'shrinkage'
    where k.nomenclature_id = (select internal.find_item(coefficient_history.item))
    order by m.version desc;
end;

comment on function api.coefficient_history(text) is
'Gives the curve of a product in every version of the fit, newest first; status deployed is the one in force.

a is a fraction of mass, b in 1/day, c a fraction a day (other families: see core.coefficients); figures are NULL where the fit
failed. loss_percent_14_days is that of a fresh batch. Changes by hand are in bi.audit. Raises 22023 for an unknown product.
Example: select version, a, b, c from api.coefficient_history(''СКУМБРИЯ Х/К'');';
