create function internal.unit_factor(unit text)
returns numeric
language sql immutable parallel safe
return case lower(btrim(coalesce(unit_factor.unit, 'kg'), ' .'))
    when 'kg' then 1
    when 'кг' then 1
    when 'килограмм' then 1
    when '' then 1
    when '166' then 1
    when 'g' then 0.001
    when 'г' then 0.001
    when 'гр' then 0.001
    when 't' then 1000
    when 'т' then 1000
    when 'тн' then 1000
end;

comment on function internal.unit_factor(text) is 'Kilograms in one of a unit; 1 where none is named, NULL for what is no mass (шт, л).';
