create function internal.read_history(definition core.model_definition, series text)
returns core.model_definition
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    model core.model_definition := definition;
begin
    if model.source is null or model.time_column is null then
        raise exception 'model % has no series', model.name using errcode = '22023', hint = 'Models of series made by api.create_model have.';
    end if;
    model.grid := internal.settled_grid(model);
    perform internal.hash_series(model);
    if series is not null then
        if not exists (select from pg_temp.series_input as i where i.label = read_history.series) then
            raise exception 'model % has no series %', model.name, series using errcode = '22023', hint = coalesce('Near to it: ' || (
                select string_agg(n.label, ', ') from (
                    select i.label from pg_temp.series_input as i
                    order by lower(i.label) like '%' || lower(left(read_history.series, 3)) || '%' desc, i.label limit 5
                ) as n) || '.', 'Its source has no rows.');
        end if;
        delete from pg_temp.series_input as i where i.label <> read_history.series;
    end if;
    perform internal.load_series(model);
    perform internal.remember_series(model.name);
    return model;
end
$$;

comment on function internal.read_history(core.model_definition, text) is
'Reads the series of a model, or one of them, into pg_temp.series_input; gives the definition with its grid.

Raises 22023 for a model without series, and for a series that is not there with the names near to it.';

create function internal.series_batches()
returns table (number int, ids int [], labels text [], steps bytea, "values" bytea, counts bytea) -- noqa: RF06
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
as $$
begin
    return query
    select b.number::int, array_agg(b.series_id order by b.ordinal), array_agg(b.label order by b.ordinal),
        string_agg(b.steps, ''::bytea order by b.ordinal), string_agg(b."values", ''::bytea order by b.ordinal),
        string_agg(int4send(octet_length(b.steps) / 8), ''::bytea order by b.ordinal)
    from (
        select i.*, floor((sum(i.row_count) over (order by i.ordinal) - 1) / 20000) as number
        from pg_temp.series_input as i
    ) as b
    group by b.number
    order by b.number;
end
$$;

comment on function internal.series_batches() is
'Divides what internal.read_history read into batches of about 20,000 observations, as kernels take them.';
