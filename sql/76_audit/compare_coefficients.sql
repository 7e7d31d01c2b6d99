create function internal.curve_loss_error(family text, a float8, b float8, c float8, se_a float8, se_b float8, se_c float8, age float8)
returns float8
language sql immutable parallel safe
-- Half of what a step of one standard error to either side changes, squared and summed: correlations are not stored.
return case when num_nonnulls(curve_loss_error.se_a, curve_loss_error.se_b, curve_loss_error.se_c) > 0 then (
    select sqrt(sum(power(
        bi.curve_loss(curve_loss_error.family, curve_loss_error.a + s.a, curve_loss_error.b + s.b, curve_loss_error.c + s.c, curve_loss_error.age)
        - bi.curve_loss(curve_loss_error.family, greatest(curve_loss_error.a - s.a, 0), greatest(curve_loss_error.b - s.b, 0),
            greatest(curve_loss_error.c - s.c, 0), curve_loss_error.age), 2
    ))) / 2
    from (
        values (coalesce(curve_loss_error.se_a, 0), 0, 0), (0, coalesce(curve_loss_error.se_b, 0), 0), (0, 0, coalesce(curve_loss_error.se_c, 0))
    ) as s (a, b, c)
) end;

comment on function internal.curve_loss_error(text, float8, float8, float8, float8, float8, float8, float8) is
'Standard error of the loss at an age, from those of the coefficients taken as independent; NULL where none is known.';

create function api.compare_coefficients(item text, version int, other_version int)
returns table (
    measure text, value float8, other_value float8, difference float8, standard_error float8, is_within_standard_errors boolean
)
language sql stable
begin atomic
    with pair as materialized (
        select internal.find_coefficient(compare_coefficients.item, compare_coefficients.version) as k,
            internal.find_coefficient(compare_coefficients.item, compare_coefficients.other_version) as o
    ), figure as (
        select m.place, m.measure, m.value, m.other_value, m.error, m.other_error, m.is_loss or (p.k).family = (p.o).family as is_comparable
        from pair as p
        cross join lateral (
            values
            (1, 'a', (p.k).coefficient_a, (p.o).coefficient_a, (p.k).se_a, (p.o).se_a, false),
            (2, 'b', (p.k).coefficient_b, (p.o).coefficient_b, (p.k).se_b, (p.o).se_b, false),
            (3, 'c', (p.k).coefficient_c, (p.o).coefficient_c, (p.k).se_c, (p.o).se_c, false)
            union all
            select 3 + d.place, format('loss_percent_%s_days', d.days),
                100 * bi.curve_loss((p.k).family, (p.k).coefficient_a, (p.k).coefficient_b, (p.k).coefficient_c, d.days),
                100 * bi.curve_loss((p.o).family, (p.o).coefficient_a, (p.o).coefficient_b, (p.o).coefficient_c, d.days),
                100 * internal.curve_loss_error((p.k).family, (p.k).coefficient_a, (p.k).coefficient_b, (p.k).coefficient_c,
                    (p.k).se_a, (p.k).se_b, (p.k).se_c, d.days),
                100 * internal.curve_loss_error((p.o).family, (p.o).coefficient_a, (p.o).coefficient_b, (p.o).coefficient_c,
                    (p.o).se_a, (p.o).se_b, (p.o).se_c, d.days),
                true
            from unnest(array[7, 14, 30]) with ordinality as d (days, place)
        ) as m (place, measure, value, other_value, error, other_error, is_loss)
    )
    select f.measure, f.value, f.other_value, case when f.is_comparable then f.other_value - f.value end,
        case when f.is_comparable then sqrt(power(f.error, 2) + power(f.other_error, 2)) end,
        case when f.is_comparable then abs(f.other_value - f.value) <= 1.96 * sqrt(power(f.error, 2) + power(f.other_error, 2)) end
    from figure as f
    order by f.place;
end;

comment on function api.compare_coefficients(text, int, int) is
'Compares the curve of a product in two versions of the fit: a, b, c, and the loss of a fresh batch at 7, 14 and 30 days, percent.

difference = other - first; standard_error is that of the difference, taking the two fits, and their coefficients, as independent (they
share data: true differences look smaller); is_within_standard_errors: at most 1.96 of them apart. NULL where a standard error is not
defined; coefficients of different families have no difference, their losses do. Raises 22023 for an unknown product or version.
Example: select * from api.compare_coefficients(''СКУМБРИЯ Х/К'', 1, 1);';
