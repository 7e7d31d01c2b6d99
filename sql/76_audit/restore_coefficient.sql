create function api.restore_coefficient(item text, version int, reason text)
returns table (
    item_id int, item_name text, deployed_version int, restored_version int, family text, a float8, b float8, c float8, is_changed boolean
)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set "weighhouse.reason" = ''
as $$
#variable_conflict use_column
declare
    current_version core.model_versions := internal.find_version('shrinkage', null);
    source core.coefficients := internal.find_coefficient(restore_coefficient.item, restore_coefficient.version);
    target core.coefficients;
    fitted jsonb;
begin
    if coalesce(btrim(restore_coefficient.reason), '') = '' then
        raise exception 'no reason is given' using errcode = '22023', hint = 'Say why; it goes to the audit trail and stands beside the curve.';
    end if;
    -- No fit meanwhile: the version in force stays the one in force.
    if not pg_try_advisory_xact_lock(x'5745494a'::int) then
        raise exception 'a fit of shrinkage is running' using errcode = '55P03', hint = 'Wait for it: its version may need no correction.';
    end if;
    select k.* into target
    from core.coefficients as k
    where k.model_id = current_version.id and k.nomenclature_id = source.nomenclature_id
    for update;
    if target.id is null then
        raise exception 'version %, which is in force, has no coefficient of %', current_version.version, restore_coefficient.item
            using errcode = '22023', hint = 'Fit again, or deploy the whole earlier version: api.deploy_version(''shrinkage'', ...).';
    end if;
    if source.outcome = 'failed' then
        raise exception 'version % has no curve of %: %', restore_coefficient.version, restore_coefficient.item, coalesce(source.reason, 'its fit failed')
            using errcode = '22023', hint = 'See api.coefficient_history for a version that has one.';
    end if;

    if source.id = target.id then
        -- Back to what the version in force was fitted with: the trail has it, from before it was first overwritten.
        select l.before into fitted
        from core.audit_log as l
        where l.table_name = 'coefficients' and l.key = jsonb_build_object('id', target.id) and l.action = 'update'
          and l.before ->> 'outcome' <> 'restored' and l.after ->> 'outcome' = 'restored'
        order by l.id
        limit 1;
        if target.outcome = 'restored' and fitted is null then
            raise exception 'the audit trail no longer says what version % was fitted with', current_version.version
                using errcode = '22023', hint = 'Restore another version, or fit again.';
        end if;
        if target.outcome = 'restored' then
            source := jsonb_populate_record(target, fitted);
        end if;
    else
        source.outcome := 'restored';
        source.reason := format('taken back to version %s: %s', restore_coefficient.version, btrim(restore_coefficient.reason));
    end if;

    perform set_config('weighhouse.reason', btrim(restore_coefficient.reason), true);
    update core.coefficients as k
    set calculation_data_id = source.calculation_data_id, calculation_data_date = source.calculation_data_date,
        coefficient_a = source.coefficient_a, coefficient_b = source.coefficient_b, coefficient_c = source.coefficient_c,
        accuracy_r2 = source.accuracy_r2, calculation_date = source.calculation_date,
        adjusted_for_pre_shrinkage = source.adjusted_for_pre_shrinkage, pre_shrinkage_factor = source.pre_shrinkage_factor,
        effective_shrinkage_rate = source.effective_shrinkage_rate, family = source.family, parameters = source.parameters,
        se_a = source.se_a, se_b = source.se_b, se_c = source.se_c, age_min = source.age_min, age_max = source.age_max,
        period_count = source.period_count, b_is_identified = source.b_is_identified, outcome = source.outcome, reason = source.reason
    where k.id = target.id
      and (target.coefficient_a, target.coefficient_b, target.coefficient_c, target.family, target.parameters, target.se_a, target.se_b, target.se_c,
          target.age_min, target.age_max, target.period_count, target.outcome, target.reason)
      is distinct from
          (source.coefficient_a, source.coefficient_b, source.coefficient_c, source.family, source.parameters, source.se_a, source.se_b, source.se_c,
          source.age_min, source.age_max, source.period_count, source.outcome, source.reason);
    is_changed := found;
    if is_changed then
        delete from core.period_expectation as e where e.coefficient_id = target.id;
        insert into core.model_event (model, version, event, reason, details)
        values ('shrinkage', current_version.version, 'changed', btrim(restore_coefficient.reason), jsonb_build_object(
            'nomenclature_id', target.nomenclature_id, 'restored_version', restore_coefficient.version
        ));
    end if;
    return query
    select n.id, n.name, current_version.version, restore_coefficient.version, k.family, k.coefficient_a, k.coefficient_b, k.coefficient_c, is_changed
    from core.coefficients as k
    inner join core.nomenclature as n on n.id = k.nomenclature_id
    where k.id = target.id;
end
$$;

comment on function api.restore_coefficient(text, int, text) is
'Puts the curve a product had in an earlier version in force: its figures are copied into the row of the deployed version.

Answers (api.coefficient, bi.coefficient, bi.shrinkage_unexplained) follow at once; outcome is restored, reason says from which version
and why; before and after stand in bi.audit. It holds until a fit makes a new version: data that change are fitted anew. The number of
the version in force takes back what it was fitted with. The same call again changes nothing (is_changed). Raises 22023 for an unknown
product or version, a failed curve, or no reason, ML201 when nothing is deployed, 55P03 while a fit runs.
Example: select * from api.restore_coefficient(''СКУМБРИЯ Х/К'', 1, ''the counts of March were wrong'');';
