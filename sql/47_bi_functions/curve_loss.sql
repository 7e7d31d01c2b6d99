-- In bi, and replaced like its views: they use it, and outsiders' views may.
-- exp() and power() of PostgreSQL raise where the result is too small or too large for a float8: e^-700 is as good as 0.
create or replace function bi.curve_loss(family text, a float8, b float8, c float8, age float8)
returns float8
language sql immutable parallel safe
return case curve_loss.family
    when 'exp' then
        curve_loss.a * case when curve_loss.b * curve_loss.age > 700 then 1 else 1 - exp(-curve_loss.b * curve_loss.age) end
    when 'exp_linear' then
        curve_loss.a * case when curve_loss.b * curve_loss.age > 700 then 1 else 1 - exp(-curve_loss.b * curve_loss.age) end
        + curve_loss.c * curve_loss.age
    when 'linear' then curve_loss.c * curve_loss.age
    when 'power' then case when curve_loss.age > 1e-30 then curve_loss.a * power(curve_loss.age, curve_loss.b) else 0 * curve_loss.age end
    when 'sqrt' then curve_loss.a * sqrt(curve_loss.age)
    when 'peleg' then
        case when curve_loss.a = 0 or curve_loss.age = 0 then 0 * curve_loss.age
            else curve_loss.age / (curve_loss.b + curve_loss.age / curve_loss.a) end
    when 'weibull' then
        case
            when not curve_loss.b * curve_loss.age > 1e-30 then 0 * curve_loss.age
            when curve_loss.c * ln(curve_loss.b * curve_loss.age) > 6.5 then curve_loss.a
            else curve_loss.a * (1 - exp(-power(curve_loss.b * curve_loss.age, curve_loss.c)))
        end
end;

comment on function bi.curve_loss(text, float8, float8, float8, float8) is
'S(age): the fraction of its mass a batch has lost at an age in days, by curve family and coefficients.

Source: the families of plpython/weighhouse/curves.py, in SQL so that reading needs no Python; a test holds the two together.';
