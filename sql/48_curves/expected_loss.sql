create or replace function bi.expected_loss(
    family text, a float8, b float8, c float8, term_mass float8 [], term_age_from float8 [], term_age_to float8 []
)
returns float8
language sql immutable parallel safe
return (
    select sum(
        t.mass * (1 - greatest(1 - bi.curve_loss(expected_loss.family, expected_loss.a, expected_loss.b, expected_loss.c, t.age_to), 0)
            / nullif(greatest(
                1 - bi.curve_loss(expected_loss.family, expected_loss.a, expected_loss.b, expected_loss.c, t.age_from), 0
            ), 0))
    )
    from unnest(expected_loss.term_mass, expected_loss.term_age_from, expected_loss.term_age_to) as t (mass, age_from, age_to)
);

comment on function bi.expected_loss(text, float8, float8, float8, float8 [], float8 [], float8 []) is
'Loss a curve expects over a period, kg, from its exposure terms: sum of m (1 - g(age_to) / g(age_from)), g = 1 - S.

NULL without terms.';
