-- Everything belongs to a role that is no superuser and cannot log in: what a view or function may do is what this role
-- may do, whoever ran the upgrade.
grant usage, create on schema core, staging, cache, internal, api, bi, dataset to weighhouse_owner;
do $do$
declare
    object record;
begin
    for object in
        select case c.relkind when 'v' then 'view' when 'S' then 'sequence' else 'table' end as kind, c.oid::regclass::text as name
        from pg_class as c
        where c.relnamespace in ('core'::regnamespace, 'staging'::regnamespace, 'cache'::regnamespace, 'bi'::regnamespace)
          and c.relkind in ('r', 'p', 'v', 'S') and c.relowner <> 'weighhouse_owner'::regrole
          -- An identity's sequence follows its table.
          and not exists (
              select from pg_depend as d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'i' and c.relkind = 'S'
          )
        union all
        select 'routine', p.oid::regprocedure::text
        from pg_proc as p
        where p.pronamespace in ('core'::regnamespace, 'internal'::regnamespace, 'api'::regnamespace, 'bi'::regnamespace)
          and p.proowner <> 'weighhouse_owner'::regrole
        union all
        select 'type', t.oid::regtype::text
        from pg_type as t
        inner join pg_class as k on k.oid = t.typrelid and k.relkind = 'c'
        where t.typnamespace in ('internal'::regnamespace, 'api'::regnamespace) and t.typowner <> 'weighhouse_owner'::regrole
    loop
        execute format('alter %s %s owner to weighhouse_owner', object.kind, object.name);
    end loop;
end
$do$;

-- Names people know are found without a schema, by whoever connects; a role without rights on core finds those of bi.
--
-- A tool must not write, nor keep the server busy. PostgreSQL applies the settings of the role that logs in, never those of
-- the roles it is a member of: these hold where weighhouse_bi itself is given a login and a password. A login of its own that
-- is a member of weighhouse_bi needs the same two lines. (Rights do not depend on them: the role can write nowhere.)
do $do$
begin
    execute format('alter database %I set search_path = "$user", public, core, bi, api', current_database());
    -- Compiling a view of many expressions takes seconds, and saves milliseconds.
    execute format('alter database %I set jit = off', current_database());
    execute format('alter role weighhouse_bi in database %I set statement_timeout = ''30s''', current_database());
    execute format('alter role weighhouse_bi in database %I set default_transaction_read_only = on', current_database());
end
$do$;
