create function internal.batch_loss(family text, a float8, b float8, c float8, from_age float8, days float8)
returns float8
language sql immutable parallel safe
return (
    bi.curve_loss(batch_loss.family, batch_loss.a, batch_loss.b, batch_loss.c, batch_loss.from_age + batch_loss.days)
    - bi.curve_loss(batch_loss.family, batch_loss.a, batch_loss.b, batch_loss.c, batch_loss.from_age)
) / nullif(greatest(1 - bi.curve_loss(batch_loss.family, batch_loss.a, batch_loss.b, batch_loss.c, batch_loss.from_age), 0), 0);

comment on function internal.batch_loss(text, float8, float8, float8, float8, float8) is
'Fraction of the mass weighed at from_age that a batch loses in the days after: (S(t+d) - S(t)) / (1 - S(t)).

NULL where the curve leaves nothing at from_age.';
