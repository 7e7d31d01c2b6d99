create function internal.decide_patterns(ids bigint [], verdict text, notes text)
returns int
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    decided_count int;
begin
    if ids is null or array_position(ids, null) is not null then
        raise exception 'no pattern is named' using errcode = '22023', hint = 'Give pattern_id of bi.pattern, as array[1, 2].';
    end if;
    -- No search meanwhile: it may be about to close the same ones.
    perform pg_advisory_xact_lock(x'57454950'::int);
    perform internal.check_ids(ids, 'core.ai_patterns', 'pattern', 'pattern_id of bi.pattern');
    update core.ai_patterns as a
    set status = verdict, closed_at = case when verdict <> 'open' then clock_timestamp() end,
        decided_by = case when verdict <> 'open' then session_user end, notes = coalesce(decide_patterns.notes, a.notes)
    where a.id = any(ids) and (
        a.status <> verdict or verdict <> 'open' and a.decided_by is null
        or decide_patterns.notes is not null and decide_patterns.notes is distinct from a.notes
    );
    get diagnostics decided_count = row_count;
    return decided_count;
end
$$;

comment on function internal.decide_patterns(bigint [], text, text) is
'Stores what a person says of patterns: closed, accepted, or open again. notes NULL leaves those there are. Returns how many changed.

Raises 22023 where one is unknown; then none changes.';

create function api.close_pattern(ids bigint [], notes text default null)
returns int
language sql volatile
begin atomic
    select internal.decide_patterns(close_pattern.ids, 'closed', close_pattern.notes);
end;

comment on function api.close_pattern(bigint [], text) is
'Closes patterns for good: searches leave them alone, also when they find them again. Returns how many changed.

ids: pattern_id of bi.pattern, one or many. Raises 22023 where one is unknown; then none is closed.
Example: select api.close_pattern(array(select p.pattern_id from bi.pattern as p where p.subtype = ''rate''), notes => ''recounted'');';

create function api.accept_pattern(ids bigint [], notes text default null)
returns int
language sql volatile
begin atomic
    select internal.decide_patterns(accept_pattern.ids, 'accepted', accept_pattern.notes);
end;

comment on function api.accept_pattern(bigint [], text) is
'Accepts patterns as true: searches leave them as they are. Returns how many changed.

ids: pattern_id of bi.pattern, one or many. Raises 22023 where one is unknown; then none is accepted.
Example: select api.accept_pattern(array(select p.pattern_id from bi.pattern as p where p.pattern_type = ''trend''));';

create function api.reopen_pattern(ids bigint [], notes text default null)
returns int
language sql volatile
begin atomic
    select internal.decide_patterns(reopen_pattern.ids, 'open', reopen_pattern.notes);
end;

comment on function api.reopen_pattern(bigint [], text) is
'Takes back that patterns were closed or accepted: the next search renews or closes them. Returns how many changed.

ids: pattern_id of bi.pattern, one or many. Raises 22023 where one is unknown; then none is reopened.
Example: select api.reopen_pattern(array(select p.pattern_id from bi.pattern as p where p.status = ''closed''));';
