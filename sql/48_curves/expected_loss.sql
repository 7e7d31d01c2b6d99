create or replace function bi.expected_loss(
    family text, a float8, b float8, c float8, term_mass float8 [], term_age_from float8 [], term_age_to float8 []
)
returns float8
language sql immutable parallel safe
return (
    -- 1 - S is held above 0.02, as in the fit (LEAST_G of plpython/weighhouse/profile_fit.py).
    select sum(t.mass * (least(s.after, 1) - least(s.before, 1)) / greatest(1 - s.before, 0.02)) filter (where s.before is not null)
    from unnest(expected_loss.term_mass, expected_loss.term_age_from, expected_loss.term_age_to) as t (mass, age_from, age_to)
    cross join lateral (
        select bi.curve_loss(expected_loss.family, expected_loss.a, expected_loss.b, expected_loss.c, t.age_from) as before,
            bi.curve_loss(expected_loss.family, expected_loss.a, expected_loss.b, expected_loss.c, t.age_to) as after
    ) as s
);

comment on function bi.expected_loss(text, float8, float8, float8, float8 [], float8 [], float8 []) is
'Loss a curve expects over a period, kg, from its exposure terms: sum of m (1 - g(age_to) / g(age_from)), g = 1 - S.

NULL without terms.';
