create function internal.surplus_tolerance(predicted float8)
returns float8
language sql stable parallel safe
return greatest(
    internal.setting('surplus.tolerance_share')::float8, internal.setting('surplus.tolerance_relative')::float8 * abs(surplus_tolerance.predicted)
);

comment on function internal.surplus_tolerance(float8) is 'How far what came may be from what a pattern predicts, both fractions.';

create function internal.surplus_verdict(actual float8, predicted float8)
returns text
language sql stable parallel safe
return case
    when abs(surplus_verdict.actual - surplus_verdict.predicted) <= internal.surplus_tolerance(surplus_verdict.predicted) then 'success'
    when abs(surplus_verdict.actual - surplus_verdict.predicted) <= 2 * internal.surplus_tolerance(surplus_verdict.predicted) then 'warning'
    else 'failure'
end;

comment on function internal.surplus_verdict(float8, float8) is
'Judges a prediction: success within tolerance, warning within twice the tolerance, failure beyond. Fractions; worked example E20.';

create function internal.replay_patterns()
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
    rate float8 := internal.setting('surplus.learning_rate');
    lowest float8 := internal.setting('surplus.deactivate_below');
    failure_limit int := internal.setting('surplus.failures_in_a_row')::int;
    confirm_after int := internal.setting('surplus.confirm_after')::int;
    threshold float8 := coalesce((select f.auto_confirm_threshold from core.feedback_preferences as f where f.is_active), 'infinity');
    changed_count bigint;
begin
    create temp table if not exists replayed (
        pattern_id int, number bigint, validation_id int, confidence float8, validated int, succeeded int, failures int, unfailed int,
        reason text, confirmed_at timestamptz, primary key (pattern_id, number)
    ) on commit drop;
    truncate pg_temp.replayed;
    -- What a pattern is follows from its validations in order: a verdict given later, or taken back, changes all after it.
    insert into pg_temp.replayed
    with recursive step as materialized (
        select v.surplus_pattern_id as pattern_id, row_number() over (partition by v.surplus_pattern_id order by v.id) as number,
            v.id as validation_id, v.actual_surplus_percentage is null as is_general, v.is_confirmed,
            coalesce(v.confirmation_date, v.validation_date) as happened_at,
            -- A person outranks the rule.
            case
                when v.is_confirmed is not null then v.is_confirmed::int
                when v.validation_result = 'success' then 1
                when v.validation_result = 'warning' then 0.5
                else 0
            end::float8 as outcome
        from core.pattern_validations as v
    ), played as (
        select p.id as pattern_id, 0::bigint as number, null::int as validation_id, p.initial_confidence as confidence, 0 as validated,
            0 as succeeded, 0 as failures, 0 as unfailed, null::text as reason, null::timestamptz as confirmed_at
        from core.surplus_patterns as p
        union all
        select b.pattern_id, s.number, s.validation_id, b.confidence, b.validated, b.succeeded, b.failures, b.unfailed,
            case
                when s.is_general then case when not s.is_confirmed then 'rejected by a person' end
                when b.failures >= failure_limit then coalesce(b.reason, b.failures || ' failures in a row')
                -- A success is no reason, however low it started.
                when b.confidence < lowest and s.outcome < b.confidence_before
                    then coalesce(b.reason, 'confidence fell to ' || round(b.confidence::numeric, 2))
                else b.reason
            end,
            case
                when s.is_general then case when s.is_confirmed then coalesce(b.confirmed_at, s.happened_at) end
                when b.failures >= failure_limit or b.reason is not null or b.confidence < lowest and s.outcome < b.confidence_before then null
                when b.confidence >= threshold and b.validated >= confirm_after and b.unfailed >= confirm_after
                    then coalesce(b.confirmed_at, s.happened_at)
                else b.confirmed_at
            end
        from (
            select r.pattern_id, r.number + 1 as number, r.reason, r.confirmed_at, r.confidence as confidence_before,
                r.confidence + rate * (n.outcome - r.confidence) as confidence, r.validated + 1 as validated,
                r.succeeded + case when n.outcome = 1 and not n.is_general then 1 else 0 end as succeeded,
                case when n.outcome = 0 then r.failures + 1 else 0 end as failures,
                case when n.outcome = 0 then 0 else r.unfailed + 1 end as unfailed
            from played as r
            inner join step as n on n.pattern_id = r.pattern_id and n.number = r.number + 1
        ) as b
        inner join step as s on s.pattern_id = b.pattern_id and s.number = b.number
    )
    select r.* from played as r;

    update core.pattern_validations as v
    set confidence_after = r.confidence
    from pg_temp.replayed as r
    where r.validation_id = v.id and v.confidence_after is distinct from r.confidence;
    update core.surplus_patterns as p
    set confidence_level = l.confidence, validation_count = l.succeeded, is_active = l.reason is null, deactivation_reason = l.reason,
        is_confirmed = l.confirmed_at is not null, confirmation_date = l.confirmed_at, last_validated_date = l.validated_at,
        feedback_count = l.feedback_count, last_feedback_date = l.feedback_at
    from (
        select distinct on (r.pattern_id) r.pattern_id, r.confidence, r.succeeded, h.validated_at, h.feedback_count, h.feedback_at,
            case when q.superseded_by_id is not null then 'superseded' else r.reason end as reason,
            case when q.superseded_by_id is null and r.reason is null then r.confirmed_at end as confirmed_at
        from pg_temp.replayed as r
        inner join core.surplus_patterns as q on q.id = r.pattern_id
        left join lateral (
            select max(v.validation_date) filter (where v.actual_surplus_percentage is not null) as validated_at,
                count(v.is_confirmed)::int as feedback_count, max(v.confirmation_date) as feedback_at
            from core.pattern_validations as v
            where v.surplus_pattern_id = r.pattern_id
        ) as h on true
        order by r.pattern_id, r.number desc
    ) as l
    where l.pattern_id = p.id
      and (p.confidence_level, p.validation_count, p.deactivation_reason, p.confirmation_date, p.last_validated_date, p.feedback_count,
          p.last_feedback_date)
          is distinct from (l.confidence, l.succeeded, l.reason, l.confirmed_at, l.validated_at, l.feedback_count, l.feedback_at);
    get diagnostics changed_count = row_count;
    return changed_count;
end
$$;

comment on function internal.replay_patterns() is
'Derives confidence, counts, confirmation and activity of every surplus pattern from its validations and verdicts, in order.

confidence moves by surplus.learning_rate toward the outcome: success or confirmed 1, warning 0.5, failure or rejected 0. Confirmed
from the threshold of core.feedback_preferences on, after 3 validations without a failure among the last 3. No longer active when
the confidence falls below surplus.deactivate_below or 3 fail in a row; a verdict on the pattern as such decides that itself. The
same rows give the same answer: only what differs is written. Returns how many patterns changed. Worked example E20.';
