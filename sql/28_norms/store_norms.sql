create function internal.store_norms(source_data_id int, on_conflict text default 'skip')
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    norm record;
    stored_id int;
    stored_count bigint := 0;
begin
    -- One by one: whether two norms meet is for the constraint to say, also about those that another session enters now.
    for norm in
        select r.* from pg_temp.norm_row as r where r.reason is null and not r.is_duplicate and r.step_above = 0 order by r.line
    loop
        select n.id into stored_id
        from core.norms as n
        where n.matched_by = norm.matched_by and n.match_key = norm.match_key and n.storage_mode = norm.storage_mode
          and (n.climate_group, n.store_group, n.month_from, n.month_to, n.packaging, n.temperature_from, n.temperature_to, n.valid_from)
              is not distinct from
              (norm.climate_group, norm.store_group, norm.month_from, norm.month_to, norm.packaging,
                  norm.temperature_from::numeric(5, 1), norm.temperature_to::numeric(5, 1), norm.valid_from);
        if stored_id is not null then
            if exists (
                select from core.norms as n
                where n.id = stored_id and n.kind = norm.kind and n.half_day = norm.half_day and n.valid_to is not distinct from norm.valid_to
            ) and (
                select array_agg(row(s.step_above, s.step_to, s.percent, s.add_per_day)::text order by s.step_above)
                from core.norm_steps as s where s.norm_id = stored_id
            ) = (
                select array_agg(row(
                        r.step_above::numeric(8, 1), r.step_to::numeric(8, 1), r.base_percent::numeric(9, 6), r.add_per_day::numeric(9, 6)
                    )::text order by r.step_above)
                from pg_temp.norm_row as r where r.number = norm.number and not r.is_duplicate
            ) then
                update pg_temp.norm_row as r set is_duplicate = true, norm_id = stored_id where r.number = norm.number;
                continue;
            end if;
        end if;
        begin
            if on_conflict = 'update' and stored_id is not null then
                delete from core.norms as n where n.id = stored_id;
            end if;
            insert into core.norms
                (product_group, matched_by, match_key, kind, storage_mode, climate_group, store_group, month_from, month_to, packaging,
                    temperature_from, temperature_to, valid_from, valid_to, half_day, document, source_data_id, line)
            values (norm.product_group, norm.matched_by, norm.match_key, norm.kind, norm.storage_mode, norm.climate_group, norm.store_group,
                norm.month_from, norm.month_to, norm.packaging, norm.temperature_from, norm.temperature_to, norm.valid_from, norm.valid_to,
                norm.half_day, norm.document, store_norms.source_data_id, case when store_norms.source_data_id is not null then norm.line end)
            returning id into stored_id;
            insert into core.norm_steps (norm_id, step_above, step_to, percent, add_per_day)
            select stored_id, r.step_above, r.step_to, r.base_percent, r.add_per_day
            from pg_temp.norm_row as r
            where r.number = norm.number and not r.is_duplicate;
            update pg_temp.norm_row as r set norm_id = stored_id where r.number = norm.number;
            stored_count := stored_count + 1;
        exception when exclusion_violation then
            if on_conflict = 'fail' then
                raise exception 'line % is of a norm that meets a stored one for the same goods, place and days', norm.line
                    using errcode = '23P01', hint = 'End that one first (api.end_norm), or use --on-conflict skip or update.';
            end if;
            update pg_temp.norm_row as r
            set reason = case when r.line = norm.line then 'validity_overlap' else 'rejected_with_norm' end,
                column_name = case when r.line = norm.line then 'valid_from' end
            where r.number = norm.number;
        end;
    end loop;
    return stored_count;
end
$$;

comment on function internal.store_norms(int, text) is
'Stores the norms in pg_temp.norm_row that nothing is wrong with; fills norm_id.

A norm that is stored already, to the last step, is marked as a duplicate. One that meets another for the same goods, place and days
is rejected (validity_overlap); with on_conflict update it replaces a stored one that begins on the same day, with fail it raises 23P01.
Returns how many norms were stored.';
