create function api.give_surplus_feedback(
    validation_id int default null, pattern_id int default null, is_confirmed boolean default null, feedback text default null
)
returns table (confidence float8, pattern_is_confirmed boolean, pattern_is_active boolean, deactivation_reason text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    chosen core.surplus_patterns;
    latest core.pattern_validations;
begin
    if (validation_id is null) = (give_surplus_feedback.pattern_id is null) then
        raise exception 'feedback is on one validation or on one pattern'
            using errcode = '22023', hint = 'Give validation_id (bi.pattern_validation) or pattern_id (bi.surplus_pattern).';
    end if;
    if give_surplus_feedback.is_confirmed is null then
        raise exception 'is_confirmed is missing' using errcode = '22023', hint = 'true: it is so; false: it is not.';
    end if;
    if validation_id is not null then
        select v.surplus_pattern_id into give_surplus_feedback.pattern_id
        from core.pattern_validations as v where v.id = give_surplus_feedback.validation_id;
        if give_surplus_feedback.pattern_id is null then
            raise exception 'there is no validation %', validation_id using errcode = '22023', hint = 'Ids as in bi.pattern_validation.';
        end if;
    end if;
    select p.* into chosen from core.surplus_patterns as p where p.id = give_surplus_feedback.pattern_id for update;
    if chosen.id is null then
        raise exception 'there is no pattern %', give_surplus_feedback.pattern_id
            using errcode = '22023', hint = 'Ids as in bi.surplus_pattern.';
    end if;
    if chosen.superseded_by_id is not null then
        raise exception 'pattern % was superseded by pattern %', chosen.id, chosen.superseded_by_id
            using errcode = '55000', hint = 'Give the feedback on that one.';
    end if;

    if validation_id is not null then
        update core.pattern_validations as v
        set is_confirmed = give_surplus_feedback.is_confirmed, user_feedback = feedback, confirmation_date = now(), confirmed_by = session_user
        where v.id = give_surplus_feedback.validation_id
          and (v.is_confirmed, v.user_feedback) is distinct from (give_surplus_feedback.is_confirmed, give_surplus_feedback.feedback);
    else
        select v.* into latest from core.pattern_validations as v where v.surplus_pattern_id = chosen.id order by v.id desc limit 1;
        -- The same said twice in a row is said once.
        if latest.id is null or latest.actual_surplus_percentage is not null
            or (latest.is_confirmed, latest.user_feedback) is distinct from (give_surplus_feedback.is_confirmed, feedback)
        then
            if give_surplus_feedback.is_confirmed and not chosen.is_active and exists (
                select from core.surplus_patterns as o
                where o.is_active and (o.nomenclature_id, o.product_type, o.condition_month)
                    is not distinct from (chosen.nomenclature_id, chosen.product_type, chosen.condition_month)
            ) then
                raise exception 'another pattern with the condition of pattern % is active', chosen.id
                    using errcode = '55000', hint = 'Reject that one first.';
            end if;
            insert into core.pattern_validations
                (surplus_pattern_id, predicted_surplus_percentage, validation_result, is_confirmed, user_feedback, confirmation_date, confirmed_by)
            values (chosen.id, chosen.surplus_percentage, case when give_surplus_feedback.is_confirmed then 'success' else 'failure' end,
                give_surplus_feedback.is_confirmed, feedback, now(), session_user);
        end if;
    end if;
    perform internal.replay_patterns();
    return query
    select p.confidence_level, p.is_confirmed, p.is_active, p.deactivation_reason from core.surplus_patterns as p where p.id = chosen.id;
end
$$;

comment on function api.give_surplus_feedback(int, int, boolean, text) is
'Records what a person says of a surplus: on one validation (was this period so?) or on a pattern as such (does it hold?).

Outranks the rule: confirmed counts as success, rejected as failure, and the confidence is worked out anew. A pattern confirmed as
such applies again; one rejected as such applies no longer (with the next api.account_stock()). Raises 22023 for an unknown id or
no answer, 55000 for a superseded pattern.
Example: select f.* from bi.surplus_pattern as p cross join lateral api.give_surplus_feedback(pattern_id => p.pattern_id, is_confirmed => true) as f;';
