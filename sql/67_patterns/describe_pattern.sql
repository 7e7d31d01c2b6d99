create function internal.percent_a_day(rate float8)
returns text
language sql immutable parallel safe
return round(100 * percent_a_day.rate::numeric, 3)::text;

comment on function internal.percent_a_day(float8) is 'Writes a rate (kg per kg-day) as percent a day.';

create function internal.describe_pattern(
    data jsonb, item text, other_item text, warehouse text, from_day date, to_day date
)
returns text
language sql stable parallel safe
return case describe_pattern.data ->> 'subtype'
    when 'rate' then format(
        '%s in %s %s by the count of %s; at the rate usual among its like that %s it would have lost %s kg.',
        describe_pattern.item, describe_pattern.warehouse,
        case when (describe_pattern.data ->> 'loss_kg')::float8 < 0
            then format('gained %s kg', round(-(describe_pattern.data ->> 'loss_kg')::numeric, 3))
            else format('lost %s kg', round((describe_pattern.data ->> 'loss_kg')::numeric, 3)) end,
        to_char(describe_pattern.to_day, 'YYYY-MM-DD'), describe_pattern.data ->> 'span', round((describe_pattern.data ->> 'usual_loss_kg')::numeric, 3)
    )
    when 'level_shift' then format(
        '%s in %s loses since the count of %s %s times what its curve expects, before %s times.',
        describe_pattern.item, describe_pattern.warehouse, to_char(describe_pattern.to_day, 'YYYY-MM-DD'),
        coalesce(round((describe_pattern.data ->> 'actual_after_kg')::numeric
            / nullif((describe_pattern.data ->> 'expected_after_kg')::numeric, 0), 2)::text, '?'),
        coalesce(round((describe_pattern.data ->> 'actual_before_kg')::numeric
            / nullif((describe_pattern.data ->> 'expected_before_kg')::numeric, 0), 2)::text, '?')
    )
    when 'misgrading' then format(
        '%s was %s kg short and %s %s kg over by the count of %s in %s: one may have been taken for the other.',
        describe_pattern.item, round((describe_pattern.data ->> 'shortage_kg')::numeric, 3), describe_pattern.other_item,
        round((describe_pattern.data ->> 'surplus_kg')::numeric, 3), to_char(describe_pattern.to_day, 'YYYY-MM-DD'), describe_pattern.warehouse
    )
    when 'month' then format(
        '%s in %s loses most in %s (%s %% a day above its mean of %s) and least in %s (%s below it).',
        describe_pattern.item, describe_pattern.warehouse,
        to_char(make_date(2000, (describe_pattern.data ->> 'high_month')::int, 1), 'FMMonth'),
        internal.percent_a_day((describe_pattern.data ->> 'high_effect')::float8),
        internal.percent_a_day((describe_pattern.data ->> 'mean_rate')::float8),
        to_char(make_date(2000, (describe_pattern.data ->> 'low_month')::int, 1), 'FMMonth'),
        internal.percent_a_day(-(describe_pattern.data ->> 'low_effect')::float8)
    )
    when 'temperature' then format(
        '%s in %s loses %s the warmer it is (rank correlation %s over %s counts).', describe_pattern.item, describe_pattern.warehouse,
        case when (describe_pattern.data ->> 'rho')::float8 > 0 then 'more' else 'less' end,
        round((describe_pattern.data ->> 'rho')::numeric, 2), describe_pattern.data ->> 'period_count'
    )
    when 'humidity' then format(
        '%s in %s loses %s the damper it is (rank correlation %s over %s counts).', describe_pattern.item, describe_pattern.warehouse,
        case when (describe_pattern.data ->> 'rho')::float8 > 0 then 'more' else 'less' end,
        round((describe_pattern.data ->> 'rho')::numeric, 2), describe_pattern.data ->> 'period_count'
    )
    else format(
        '%s in %s loses %s and %s: from %s to %s %% a day over %s counts, %s to %s.', describe_pattern.item, describe_pattern.warehouse,
        case describe_pattern.data ->> 'subtype' when 'rising' then 'more' else 'less' end,
        case describe_pattern.data ->> 'subtype' when 'rising' then 'more' else 'less' end,
        internal.percent_a_day((describe_pattern.data ->> 'rate_from')::float8),
        internal.percent_a_day((describe_pattern.data ->> 'rate_to')::float8),
        describe_pattern.data ->> 'period_count', to_char(describe_pattern.from_day, 'YYYY-MM-DD'),
        to_char(describe_pattern.to_day, 'YYYY-MM-DD')
    )
end;

comment on function internal.describe_pattern(jsonb, text, text, text, date, date) is
'Says in words what internal.search_patterns found: figures in kg and percent a day, days of the warehouse''s calendar.';
