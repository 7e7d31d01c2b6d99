create function internal.table_zone(definition core.model_definition)
returns text
language sql stable
return coalesce(table_zone.definition.options ->> 'time_zone', internal.setting_text('import.time_zone'), 'UTC');

comment on function internal.table_zone(core.model_definition) is 'Gives the zone in which the times of a model''s rows have hours and weekdays.';
