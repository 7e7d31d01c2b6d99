create function internal.has_news(definition core.model_definition, version_id int)
returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return exists (
        select from pg_temp.series_input as i
        left join core.model_series as s on s.model = definition.name and s.series_key = i.series_key
        left join core.run_outcome as o on o.series_id = s.id and o.run_id = (
            select max(r.id) from core.training_run as r where r.version_id = has_news.version_id and r.task = 'fit'
        )
        where o.series_id is null or i.last_step > internal.step_number(definition.grid, o.last_time)
            -- What failed has no last step: another content may not fail.
            or (o.ml_model_id is null and o.data_hash is distinct from i.data_hash)
    );
end
$$;

comment on function internal.has_news(core.model_definition, int) is
'Whether pg_temp.series_input (internal.hash_series) has steps or series that a version has not taken in.';
