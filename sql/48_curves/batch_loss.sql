create function internal.batch_loss(family text, a float8, b float8, c float8, from_age float8, days float8)
returns float8
language sql immutable parallel safe
-- One expression, so that it is inlined. A curve may pass 1 far beyond the ages it was fitted on; a batch cannot lose more than all.
return case when bi.curve_loss(batch_loss.family, batch_loss.a, batch_loss.b, batch_loss.c, batch_loss.from_age) < 1 then (
    case
        when bi.curve_loss(batch_loss.family, batch_loss.a, batch_loss.b, batch_loss.c, batch_loss.from_age + batch_loss.days) > 1 then 1
        else bi.curve_loss(batch_loss.family, batch_loss.a, batch_loss.b, batch_loss.c, batch_loss.from_age + batch_loss.days)
    end - bi.curve_loss(batch_loss.family, batch_loss.a, batch_loss.b, batch_loss.c, batch_loss.from_age)
) / (1 - bi.curve_loss(batch_loss.family, batch_loss.a, batch_loss.b, batch_loss.c, batch_loss.from_age)) end;

comment on function internal.batch_loss(text, float8, float8, float8, float8, float8) is
'Fraction of the mass weighed at from_age that a batch loses in the days after: (S(t+d) - S(t)) / (1 - S(t)), at most 1.

NULL where the curve leaves nothing at from_age.';
