create function internal.find_job(name text)
returns core.job
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    found_job core.job;
begin
    select j.* into found_job from core.job as j where j.name = find_job.name;
    if found_job.name is null then
        raise exception 'there is no job %', coalesce(name, 'NULL')
            using errcode = '22023', hint = format(
                'There are: %s. Make one with api.schedule.', coalesce((select string_agg(j.name, ', ' order by j.name) from core.job as j), 'none')
            );
    end if;
    return found_job;
end
$$;

comment on function internal.find_job(text) is 'Gives a job. Raises 22023 with the names there are.';
