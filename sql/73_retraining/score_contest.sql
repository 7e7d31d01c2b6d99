create function internal.score_contest()
returns table (
    metric text, old_score float8, new_score float8, baseline_score float8, forecast_count bigint, series_count int, window_from bigint, window_to bigint,
    challenger_metrics jsonb
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select case when s.is_percent then 'mape' else 'wape' end,
        case when s.is_percent then s.champion_mape else s.champion_wape end,
        case when s.is_percent then s.challenger_mape else s.challenger_wape end,
        case when s.is_percent then s.baseline_mape else s.baseline_wape end,
        s.row_count, s.series_count, s.first_step, s.last_step,
        jsonb_strip_nulls(jsonb_build_object('mape', s.challenger_mape, 'wape', s.challenger_wape, 'coverage_80', s.coverage_80, 'coverage_95', s.coverage_95))
    from (
        -- The same rows for both: where one has no forecast, or nobody knows what happened, nothing is compared.
        select count(*) as row_count, count(distinct c.series_id)::int as series_count, min(c.target_step) as first_step, max(c.target_step) as last_step,
            -- A percentage of 0 is none; where many are 0 the mean of the others says little.
            count(*) filter (where c.actual <> 0) >= 0.8 * count(*) as is_percent,
            100 * avg(abs((c.champion - c.actual) / nullif(c.actual, 0))) as champion_mape,
            100 * avg(abs((c.challenger - c.actual) / nullif(c.actual, 0))) as challenger_mape,
            100 * avg(abs((c.seasonal_naive - c.actual) / nullif(c.actual, 0))) as baseline_mape,
            100 * sum(abs(c.champion - c.actual)) / nullif(sum(abs(c.actual)), 0) as champion_wape,
            100 * sum(abs(c.challenger - c.actual)) / nullif(sum(abs(c.actual)), 0) as challenger_wape,
            100 * sum(abs(c.seasonal_naive - c.actual)) / nullif(sum(abs(c.actual)), 0) as baseline_wape,
            100 * avg((c.actual between c.challenger_lower_80 and c.challenger_upper_80)::int)::float8 as coverage_80,
            100 * avg((c.actual between c.challenger_lower_95 and c.challenger_upper_95)::int)::float8 as coverage_95
        from pg_temp.contest as c
        where c.actual is not null and c.champion is not null and c.challenger is not null
    ) as s
    where s.row_count > 0;
end
$$;

comment on function internal.score_contest() is
'Scores the rows of pg_temp.contest (internal.hold_contest): MAPE where at least 80 % of the actual values are not 0, else WAPE.

One row: the measure that decides, of champion, challenger and seasonal naive forecast; the forecasts and series that count, the
first and last step forecast, and measures of the challenger by name. No row when no forecast counts.';
