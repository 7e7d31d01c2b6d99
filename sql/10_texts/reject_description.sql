create function internal.reject_description(reason text)
returns text
language sql immutable parallel safe
return case reject_description.reason
    when 'missing_item' then 'the row names no product'
    when 'missing_date' then 'the row has no date'
    when 'not_a_date' then 'not a date'
    when 'date_out_of_range' then 'a date before 1990 or after 2100'
    when 'date_in_future' then 'a date in the future'
    when 'time_not_unique' then 'a local time that does not exist or exists twice (daylight saving): --dst earlier or later'
    when 'not_a_number' then 'not a number'
    when 'too_large' then 'a quantity beyond 99 999 999 999 kg'
    when 'missing_quantity' then 'the row has no quantity'
    when 'unknown_operation' then 'an unknown document type: add it to core.operation_mapping, then loader rejects retry'
    when 'unit_not_mass' then 'a unit that is not a mass: kilograms are primary here'
    when 'conflict' then 'the same document, product and batch is stored with another quantity: --on-conflict update to replace it'
    when 'missing_period' then 'the row has no period: give the dates with --period'
    when 'period_reversed' then 'the period ends before it starts'
    when 'control_total' then 'a line of the statement that contradicts the documents below it'
    when 'missing_group' then 'the row names no group of products'
    when 'too_long' then 'a text longer than 500 characters'
    when 'unknown_match' then 'products are matched by product, name, group or type'
    when 'bad_pattern' then 'the name is no regular expression'
    when 'unknown_kind' then 'the kind of a norm is turnover, stepped, monthly or transport'
    when 'unknown_storage_mode' then 'the storage mode is warehouse, retail, refrigerator or transport'
    when 'transport_mismatch' then 'a norm by distance is for transport, and the other way round'
    when 'unknown_climate_group' then 'the climate group is 1, 2 or 3, or empty for any'
    when 'unknown_season' then 'a season is a month (7), months (10-3), a quarter (Q2) or winter, spring, summer, autumn'
    when 'bad_temperature' then 'a temperature band that does not rise, or beyond -273 to 200'
    when 'not_yes_or_no' then 'neither yes nor no'
    when 'bad_step' then 'a step that ends before it starts, or at or below zero'
    when 'missing_percent' then 'a step has a percent, or what each day adds'
    when 'negative_percent' then 'a percent below zero'
    when 'percent_over_100' then 'a percent above 100'
    when 'step_gap' then 'the steps of the norm leave a gap before this one'
    when 'step_overlap' then 'the steps of the norm overlap'
    when 'turnover_has_steps' then 'a norm in percent of turnover has one percent and no steps'
    when 'validity_overlap' then 'another norm holds for the same goods, place and days'
    when 'rejected_with_norm' then 'another row of the same norm was rejected'
    else reject_description.reason
end;

comment on function internal.reject_description(text) is 'Says in words why a row was rejected.';
