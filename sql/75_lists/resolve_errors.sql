create function api.resolve_errors(
    ids bigint [] default null, item text default null, product_type text default null, warehouse text default null,
    from_time timestamptz default null, to_time timestamptz default null, severity text default null, error_type text default null,
    flag text default null, reason text default null, import_id int default null, notes text default null
)
returns table (resolved_count bigint, already_resolved_count bigint, period_count bigint, row_count bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
    if num_nonnulls(ids, item, product_type, warehouse, from_time, to_time, severity, error_type, flag, reason, import_id) = 0 then
        raise exception 'nothing says what is resolved'
            using errcode = '22023', hint = 'Give ids (bi.review, api.list_errors) or a filter.';
    end if;
    perform internal.check_ids(ids, 'core.validation_errors', 'finding', 'validation_error_id of bi.review or api.list_errors');
    -- In the order of their keys: two who resolve at once wait for each other and do not deadlock.
    with chosen as materialized (
        select e.id
        from internal.find_errors(
            resolve_errors.item, resolve_errors.product_type, resolve_errors.warehouse, resolve_errors.from_time, resolve_errors.to_time,
            resolve_errors.severity, resolve_errors.error_type, resolve_errors.flag, resolve_errors.reason, resolve_errors.import_id, null
        ) as e
        where resolve_errors.ids is null or e.id = any(resolve_errors.ids)
    ), locked as materialized (
        select e.id, e.resolved from core.validation_errors as e where e.id in (select c.id from chosen as c) order by e.id for update
    ), done as (
        update core.validation_errors as e
        set resolved = true, resolution_date = now(), resolved_by = session_user, notes = coalesce(resolve_errors.notes, e.notes)
        from locked as l
        where l.id = e.id and not l.resolved
        returning e.calculation_data_id
    )
    select count(*), (select count(*) from locked as l where l.resolved), count(distinct d.calculation_data_id),
        count(*) filter (where d.calculation_data_id is null)
    into resolved_count, already_resolved_count, period_count, row_count
    from done as d;
    return next;
end
$$;

comment on function api.resolve_errors(
    bigint [], text, text, text, timestamptz, timestamptz, text, text, text, text, int, text
) is
'Marks findings as dealt with: those with the ids that also pass the filters, or all that pass; when, by whom, with notes.

They leave bi.review and stay resolved when the accounting runs again; a rejected row is not tried again. What was resolved before
keeps its date, name and notes. Returns how many were resolved now, how many were already, and the periods and rejected rows
concerned. Raises 22023 for neither ids nor filter, unknown ids (all named), or what no filter can mean; nothing is changed then.
Example: select * from api.resolve_errors(flag => ''round_count'', notes => ''the scale shows whole kg'');';

create function api.reopen_errors(ids bigint [])
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    reopened_count bigint;
begin
    if ids is null or cardinality(ids) = 0 then
        raise exception 'nothing says what is reopened' using errcode = '22023', hint = 'Give ids: api.list_errors(resolved => true).';
    end if;
    perform internal.check_ids(ids, 'core.validation_errors', 'finding', 'validation_error_id of bi.review or api.list_errors');
    with locked as materialized (
        select e.id from core.validation_errors as e where e.id = any(reopen_errors.ids) and e.resolved order by e.id for update
    )
    update core.validation_errors as e set resolved = false, resolution_date = null, resolved_by = null
    from locked as l where l.id = e.id;
    get diagnostics reopened_count = row_count;
    return reopened_count;
end
$$;

comment on function api.reopen_errors(bigint []) is
'Takes resolved findings back into review; notes stay. A flag that no longer holds goes with the next accounting.

Returns how many were resolved before. Raises 22023 for unknown ids, all named; nothing is changed then.
Example: select api.reopen_errors(array(select validation_error_id from api.list_errors(page_size => 1)));';
