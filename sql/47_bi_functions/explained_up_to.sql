create or replace function bi.explained_up_to(expected_kg float8, count_sigma_kg float8, cv float8)
returns float8
language sql immutable parallel safe
return explained_up_to.expected_kg
    + 1.645 * sqrt(power(explained_up_to.count_sigma_kg, 2) + power(explained_up_to.cv * explained_up_to.expected_kg, 2));

comment on function bi.explained_up_to(float8, float8, float8) is
'Upper 95 % bound of what drying and the resolution of the count explain, kg: expected + 1.645 sqrt(sigma^2 + (cv expected)^2).

NULL where any of them is.';
