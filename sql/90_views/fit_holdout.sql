create or replace view bi.fit_holdout as
select t.key as product_type, (h.value ->> 'n')::int as n, (h.value ->> 'wape')::float8 as wape_model,
    (h.value ->> 'wape_type_rate')::float8 as wape_type_rate, (h.value ->> 'wape_last_percent')::float8 as wape_last_percent,
    (h.value ->> 'mae')::float8 as mae, (h.value ->> 'mbe')::float8 as mbe, (h.value ->> 'coverage80')::float8 as coverage_80,
    (h.value ->> 'is_better')::boolean as is_better, m.version, m.created_date as time
from core.model_versions as m
cross join lateral jsonb_each(m.parameters -> 'types') as t
cross join lateral (select t.value -> 'holdout' as value) as h
where m.model = 'shrinkage' and m.status = 'deployed'
  and jsonb_typeof(h.value) = 'object' and (h.value ->> 'n')::int > 0;

comment on view bi.fit_holdout is
'How well the deployed fit predicts counts it had not seen, by product type: the only accuracy to quote.

The last three periods of each product in turn, predicted from those before (a sample of products where there are many), beside
two simple rules. No row where nothing could be held out, or where b or c was given.';
comment on column bi.fit_holdout.product_type is 'Product type.';
comment on column bi.fit_holdout.n is 'Periods predicted.';
comment on column bi.fit_holdout.wape_model is 'Sum of |expected - found| over the sum of |found|, percent, of the fitted curves.';
comment on column bi.fit_holdout.wape_type_rate is 'The same of the rule: what the type loses per kg and day.';
comment on column bi.fit_holdout.wape_last_percent is 'The same of the rule: the percent the product lost last time.';
comment on column bi.fit_holdout.mae is 'Mean of |expected - found|, kg.';
comment on column bi.fit_holdout.mbe is 'Mean of expected - found, kg: positive is too much.';
comment on column bi.fit_holdout.coverage_80 is 'Share of the found shortages inside the 80 % band; 0.8 is right.';
comment on column bi.fit_holdout.is_better is 'Whether the curves beat both rules; if not, quote the rule that wins.';
comment on column bi.fit_holdout.version is 'Version of the fit.';
comment on column bi.fit_holdout.time is 'When it was fitted.';
