create or replace view bi.fit_by_type as
select m.created_date as time, m.version, t.key as product_type, t.value ->> 'family' as family, (t.value ->> 'a')::float8 as a,
    (t.value ->> 'b')::float8 as b, (t.value ->> 'c')::float8 as c, (t.value ->> 'b_is_identified')::boolean as b_is_identified,
    t.value ->> 'reason' as reason, 1000 * (t.value ->> 'rate')::float8 as grams_per_kg_day,
    (t.value ->> 'level_spread')::float8 as level_spread, (t.value ->> 'n_periods')::int as period_count,
    (t.value ->> 'age_min')::float8 as age_min_days, (t.value ->> 'age_max')::float8 as age_max_days
from core.model_versions as m
cross join lateral jsonb_each(m.parameters -> 'types') as t
where m.model = 'shrinkage' and m.status = 'deployed';

comment on view bi.fit_by_type is 'What the newest fit found for each product type: family, shared coefficients, whether the data tell them.';
comment on column bi.fit_by_type.time is 'When it was fitted.';
comment on column bi.fit_by_type.version is 'Version of the fit.';
comment on column bi.fit_by_type.product_type is 'Product type.';
comment on column bi.fit_by_type.family is 'Curve family chosen.';
comment on column bi.fit_by_type.a is 'Level of the type''s curve.';
comment on column bi.fit_by_type.b is 'Shared b.';
comment on column bi.fit_by_type.c is 'c at the level of the type.';
comment on column bi.fit_by_type.b_is_identified is 'Whether the data tell b; if not, a default stands in.';
comment on column bi.fit_by_type.reason is 'Why not identified; NULL = identified.';
comment on column bi.fit_by_type.grams_per_kg_day is 'Raw loss rate, grams per kg and day.';
comment on column bi.fit_by_type.level_spread is 'Standard deviation of ln a between products; NULL below 4 products.';
comment on column bi.fit_by_type.period_count is 'Periods used.';
comment on column bi.fit_by_type.age_min_days is 'Smallest batch age seen, days.';
comment on column bi.fit_by_type.age_max_days is 'Largest batch age seen, days.';
