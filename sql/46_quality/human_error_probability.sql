create function internal.human_error_probability(flags text [])
returns float8
language sql stable parallel safe
return (
    select 1 / (1 + exp(-(internal.setting('quality.human_error_intercept')::float8 + coalesce(sum(f.human_error_weight), 0))))
    from core.quality_flag as f
    where f.flag = any(human_error_probability.flags)
);

comment on function internal.human_error_probability(text []) is
'Gives the probability that a person erred: logistic over the weights of the flags (core.quality_flag).';

create function internal.inventory_confidence(
    has_opening_count boolean, has_closing_count boolean, period_days float8, count_sigma_kg float8, difference_kg float8,
    human_error_probability float8, full_after_days float8 default 3
)
returns float8
language sql immutable parallel safe
return (case when inventory_confidence.has_opening_count then 1 else 0.5 end)
    * (case when inventory_confidence.has_closing_count then 1 else 0.3 end)
    * least(1, inventory_confidence.period_days / inventory_confidence.full_after_days)
    * coalesce(
        abs(inventory_confidence.difference_kg) / nullif(abs(inventory_confidence.difference_kg) + 2 * inventory_confidence.count_sigma_kg, 0),
        0
    )
    * (1 - inventory_confidence.human_error_probability);

comment on function internal.inventory_confidence(boolean, boolean, float8, float8, float8, float8, float8) is
'Tells how far the difference of a period can be trusted, 0 to 1: counts at both ends, length, size beside the resolution of the count, human error.';

create function internal.count_sigma(resolution_kg numeric)
returns float8
language sql immutable parallel safe
return sqrt(2.0) * count_sigma.resolution_kg::float8 / sqrt(12.0);

comment on function internal.count_sigma(numeric) is
'Standard deviation of the difference of two counts of this resolution, kg: both are rounded.';
