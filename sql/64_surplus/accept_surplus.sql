create function internal.open_recommendation(recommendation_id int)
returns core.surplus_recommendations
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    found core.surplus_recommendations;
begin
    select r.* into found from core.surplus_recommendations as r where r.id = open_recommendation.recommendation_id for update;
    if found.id is null then
        raise exception 'there is no recommendation %', coalesce(recommendation_id::text, 'NULL')
            using errcode = '22023', hint = 'Ids as in bi.surplus_recommendation; a newer call of api.recommend_surplus() may have replaced it.';
    end if;
    if found.is_accepted is not null then
        raise exception 'recommendation % is % already', found.id, case when found.is_accepted then 'accepted' else 'rejected' end
            using errcode = '55000', hint = 'A decision stands; give feedback on its pattern (api.give_surplus_feedback), or state a specification.';
    end if;
    return found;
end
$$;

comment on function internal.open_recommendation(int) is
'Gives a recommendation nobody decided yet, locked. Raises 22023 for an unknown one, 55000 for a decided one.';

create function api.accept_surplus(
    recommendation_id int, applies_to text default 'item', month int default null, as_specification boolean default false,
    from_date date default null, notes text default null
)
returns table (pattern_id int, specification_id int)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    chosen core.surplus_recommendations := internal.open_recommendation(accept_surplus.recommendation_id);
    item core.nomenclature;
    older_id int;
    starts_on date;
begin
    if applies_to is null or applies_to not in ('item', 'type') then
        raise exception 'applies_to cannot be %', coalesce(applies_to, 'NULL')
            using errcode = '22023', hint = 'Use item (this product) or type (all products of its type).';
    end if;
    if accept_surplus.month not between 1 and 12 then
        raise exception 'there is no month %', accept_surplus.month using errcode = '22023', hint = 'Use 1 to 12, or NULL for the whole year.';
    end if;
    if coalesce(as_specification, false) and (accept_surplus.month is not null or applies_to = 'type') then
        raise exception 'a specification is for one product, in all months'
            using errcode = '22023', hint = 'Leave month and applies_to out, or as_specification.';
    end if;
    if not isfinite(from_date) then
        raise exception 'from_date cannot be %', from_date using errcode = '22023', hint = 'Give a day, or nothing.';
    end if;
    select n.* into item from core.nomenclature as n where n.id = chosen.nomenclature_id;
    -- From the first day of the data that show it; of earlier receipts nothing is known.
    starts_on := coalesce(from_date, (
        select (chosen.analysis_period_start at time zone w.time_zone)::date
        from core.calculation_data as c
        inner join core.warehouses as w on w.id = c.warehouse_id
        where c.nomenclature_id = item.id
        order by c.calculation_date <> chosen.analysis_period_end, c.warehouse_id
        limit 1
    ));

    update core.surplus_patterns as p
    set is_active = false, deactivation_reason = 'superseded', is_confirmed = false, confirmation_date = null
    where p.is_active and p.condition_month is not distinct from accept_surplus.month
      and case when applies_to = 'item' then p.nomenclature_id = item.id else p.product_type = item.product_type end
    returning p.id into older_id;
    insert into core.surplus_patterns
        (nomenclature_id, product_type, surplus_percentage, pattern_condition, condition_month, valid_from, created_from_recommendation_id,
            confidence_level, initial_confidence, notes)
    values (
        case when applies_to = 'item' then item.id end, case when applies_to = 'type' then item.product_type end,
        chosen.recommended_surplus_percentage,
        concat_ws(', ', case when applies_to = 'item' then 'receipts of ' || item.name else 'receipts of the type ' || item.product_type end,
            'in month ' || accept_surplus.month, 'from ' || to_char(starts_on, 'YYYY-MM-DD')),
        accept_surplus.month, starts_on, chosen.id, chosen.confidence_level, coalesce(chosen.confidence_level, 0.5), accept_surplus.notes
    )
    returning id into pattern_id;
    update core.surplus_patterns as p set superseded_by_id = pattern_id where p.id = older_id;

    if as_specification then
        specification_id := api.add_surplus_specification(
            item.id::text, chosen.recommended_surplus_percentage, starts_on, notes => accept_surplus.notes
        );
        update core.surplus_specifications as s set created_from_pattern_id = pattern_id where s.id = specification_id;
    end if;
    update core.surplus_recommendations as r
    set is_accepted = true, acceptance_date = now(), decided_by = session_user, notes = accept_surplus.notes
    where r.id = chosen.id;
    return next;
end
$$;

comment on function api.accept_surplus(int, text, int, boolean, date, text) is
'Accepts a recommended surplus: makes a pattern that applies to receipts, and with as_specification a specification beside it.

applies_to: item (the product) or type (all products of its type); month 1 to 12 = receipts of that month only; from_date: first day
of receipts, NULL = the first day of the data it was found in. Takes effect with the next api.account_stock(), where a
specification goes before a pattern. An active pattern with the same condition is superseded. Returns the ids. Raises 22023 for an
unknown recommendation or an impossible condition, 55000 for a decided one, 23P01 where a specification covers these days already.
Example: select api.accept_surplus(r.recommendation_id, notes => ''glaze'') from bi.surplus_recommendation as r where r.is_accepted is null;';
