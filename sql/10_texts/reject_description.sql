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
    else reject_description.reason
end;

comment on function internal.reject_description(text) is 'Says in words why a row was rejected.';
