-- These four have the rights of weighhouse_owner, so that who uploads needs no right to create or drop anything: they touch
-- nothing but dataset.upload_N and views in the schema dataset, and build the names themselves.
create function internal.make_dataset_table(dataset_id bigint, column_names text [], column_types text [])
returns text
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if cardinality(column_names) is distinct from cardinality(column_types) or cardinality(column_names) < 2
       or exists (select from unnest(column_types) as t (type)
            where t.type is null or t.type not in ('text', 'boolean', 'bigint', 'float8', 'numeric', 'date', 'timestamp', 'timestamptz')) then
        raise exception 'a dataset has at least 2 columns, each of a known type' using errcode = '22023',
            hint = 'Types are text, boolean, bigint, float8, numeric, date, timestamp, timestamptz.';
    end if;
    if dataset_id is null or not exists (select from core.dataset as d where d.id = dataset_id) then
        raise exception 'there is no dataset %', dataset_id using errcode = '22023', hint = 'Tables are made by loader import --into dataset.';
    end if;
    execute format('create table dataset.upload_%s (%s)', dataset_id, (
        select string_agg(format('%I %s', c.name, c.type), ', ' order by c.place)
        from unnest(column_names, column_types) with ordinality as c (name, type, place)
    ));
    execute format('grant insert, select on dataset.upload_%s to weighhouse_fitter', dataset_id);
    return format('dataset.upload_%s', dataset_id);
end
$$;

comment on function internal.make_dataset_table(bigint, text [], text []) is
'Creates the empty table of a dataset, to be filled in this transaction. Returns its name. Raises 22023 for other types, 42P07 when it is there.';

create function internal.seal_dataset_table(dataset_id bigint)
returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    execute format('revoke insert on dataset.upload_%s from weighhouse_fitter', dataset_id);
    execute format('grant select on dataset.upload_%s to weighhouse_analyst, weighhouse_fitter', dataset_id);
    execute format('analyze dataset.upload_%s', dataset_id);
    return pg_total_relation_size(format('dataset.upload_%s', dataset_id)::regclass);
end
$$;

comment on function internal.seal_dataset_table(bigint) is 'Ends the filling of the table of a dataset: it is read from now on. Returns its size, bytes.';

create function internal.show_newest_dataset(view_name text)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    newest text;
begin
    select d.relation into newest from core.dataset as d
    where d.view_name = show_newest_dataset.view_name and d.status = 'ready' and d.relation = format('dataset.upload_%s', d.id)
    order by d.version desc limit 1;
    if view_name ~ '^upload_[0-9]+$' then
        raise exception '% cannot be a view', view_name using errcode = '22023', hint = 'That is the name of a table.';
    end if;
    if newest is not null then
        begin
            execute format('create or replace view dataset.%I as select * from %s', view_name, newest);
            execute format('comment on view dataset.%I is %L', view_name, 'Shows the newest version of a dataset (bi.dataset).');
            execute format('grant select on dataset.%I to weighhouse_analyst, weighhouse_fitter', view_name);
            return;
        exception
            -- Other columns: a view that is replaced keeps its own.
            when invalid_table_definition then
                null;
        end;
    end if;
    begin
        execute format('drop view if exists dataset.%I', view_name);
    exception
        when dependent_objects_still_exist then
            raise exception 'a view on dataset.% is in the way: its columns would change', quote_ident(view_name)
                using errcode = '2BP01', detail = sqlerrm, hint = 'Drop that view, or let it read one version (column relation of bi.dataset).';
    end;
    if newest is not null then
        execute format('create view dataset.%I as select * from %s', view_name, newest);
        execute format('comment on view dataset.%I is %L', view_name, 'Shows the newest version of a dataset (bi.dataset).');
        execute format('grant select on dataset.%I to weighhouse_analyst, weighhouse_fitter', view_name);
    end if;
end
$$;

comment on function internal.show_newest_dataset(text) is
'Lets the view of a dataset show its newest ready version; without one there is no view.

Raises 2BP01 when somebody built a view on it that the new columns would break.';

create function internal.drop_dataset_table(dataset_id bigint)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
-- What reads it ends first; nobody else waits behind us for long.
set lock_timeout = '5s'
as $$
begin
    if exists (select from core.dataset as d where d.id = dataset_id and d.status = 'ready') then
        raise exception 'dataset % is in use', dataset_id using errcode = '22023', hint = 'See api.drop_dataset.';
    end if;
    execute format('drop table if exists dataset.upload_%s', dataset_id);
exception
    when dependent_objects_still_exist then
        raise exception 'a view reads dataset.upload_%', dataset_id using errcode = '2BP01', detail = sqlerrm, hint = 'Drop that view first.';
    when lock_not_available then
        raise exception 'dataset.upload_% is being read', dataset_id using errcode = '55P03', hint = 'Wait for it, then run again.';
end
$$;

comment on function internal.drop_dataset_table(bigint) is
'Drops the table of a dataset that is not ready any more. Raises 22023 while it is ready, 2BP01 when a view reads it, 55P03 when a session does for 5 s.';
