create function internal.policy_age(hypertable regclass, procedure text)
returns interval
language sql stable
begin atomic
    select coalesce(j.config ->> 'compress_after', j.config ->> 'drop_after')::interval
    from timescaledb_information.jobs as j
    where format('%I.%I', j.hypertable_schema, j.hypertable_name)::regclass = policy_age.hypertable and j.proc_name = policy_age.procedure;
end;

comment on function internal.policy_age(regclass, text) is 'Reads the age of a policy TimescaleDB has for a hypertable; NULL = it has none.';
