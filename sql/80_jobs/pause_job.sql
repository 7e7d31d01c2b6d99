create function api.pause_job(job text)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    perform internal.find_job(job);
    update core.job as j set is_paused = true where j.name = pause_job.job and not j.is_paused;
end
$$;

comment on function api.pause_job(text) is
'Keeps a job from being run by itself; a step that runs is finished, the rest of its attempt waits. Survives upgrades.

Raises 22023 for an unknown job. Example: select api.pause_job(''nightly'');';

create function api.resume_job(job text)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    perform internal.find_job(job);
    update core.job as j set is_paused = false, watched_since = now() where j.name = resume_job.job and j.is_paused;
    if found then
        perform pg_notify('weighhouse', 'jobs');
    end if;
end
$$;

comment on function api.resume_job(text) is
'Lets a paused job run by itself again; windows that passed meanwhile are made up for once.

Raises 22023 for an unknown job. Example: select api.resume_job(''nightly'');';
