create function internal.expect_loss(
    family text, a float8, b float8, c float8, term_mass float8 [], term_age_from float8 [], term_age_to float8 [], more_days float8, max_age float8
)
returns table (with_ages float8, from_fresh float8)
language sql immutable parallel safe rows 1
begin atomic
    -- Beyond the cap the ages shift back, as in the accounting: the time that passes is kept. 1 - S is held above 0.02, as in the fit.
    select sum(t.mass * (least(s.after, 1) - least(s.before, 1)) / greatest(1 - s.before, 0.02)), sum(t.mass * least(s.passed, 1))
    from (
        select u.mass, greatest(0, u.age_from - greatest(0, u.age_end - expect_loss.max_age)) as age_from,
            least(u.age_end, expect_loss.max_age) as age_to
        from (
            select v.mass, v.age_from, greatest(v.age_from, v.age_to + expect_loss.more_days) as age_end
            from unnest(expect_loss.term_mass, expect_loss.term_age_from, expect_loss.term_age_to) as v (mass, age_from, age_to)
        ) as u
    ) as t
    cross join lateral (
        select bi.curve_loss(expect_loss.family, expect_loss.a, expect_loss.b, expect_loss.c, t.age_from) as before,
            bi.curve_loss(expect_loss.family, expect_loss.a, expect_loss.b, expect_loss.c, t.age_to) as after,
            bi.curve_loss(expect_loss.family, expect_loss.a, expect_loss.b, expect_loss.c, t.age_to - t.age_from) as passed
    ) as s;
end;

comment on function internal.expect_loss(text, float8, float8, float8, float8 [], float8 [], float8 [], float8, float8) is
'Loss a curve expects from exposure terms when more_days pass after the moment their ages reach to, kg; one row.

with_ages: sum of m (S(to) - S(from)) / (1 - S(from)), the ages true. from_fresh: sum of m S(to - from), as if every batch were
fresh when it was counted in. max_age: days, ages are capped there. NULL without terms.';
