-- In bi, and replaced like its views: they use it, and outsiders' views may.
create or replace function bi.curve_loss(family text, a float8, b float8, c float8, age float8)
returns float8
language sql immutable parallel safe
return case curve_loss.family
    when 'exp' then curve_loss.a * (1 - exp(-curve_loss.b * curve_loss.age))
    when 'exp_linear' then curve_loss.a * (1 - exp(-curve_loss.b * curve_loss.age)) + curve_loss.c * curve_loss.age
    when 'linear' then curve_loss.c * curve_loss.age
    when 'power' then case when curve_loss.age > 0 then curve_loss.a * power(curve_loss.age, curve_loss.b) else 0 end
    when 'sqrt' then curve_loss.a * sqrt(curve_loss.age)
    when 'peleg' then curve_loss.age / (curve_loss.b + curve_loss.age / nullif(curve_loss.a, 0))
    when 'weibull' then
        case when curve_loss.age > 0 then curve_loss.a * (1 - exp(-power(curve_loss.b * curve_loss.age, curve_loss.c))) else 0 end
end;

comment on function bi.curve_loss(text, float8, float8, float8, float8) is
'S(age): the fraction of its mass a batch has lost at an age in days, by curve family and coefficients.

Source: the families of plpython/weighhouse/curves.py, in SQL so that reading needs no Python; a test holds the two together.';
