create function internal.check_shrinkage_question(mass float8, from_age float8, days float8)
returns boolean
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
    if mass is null or not (mass >= 0 and mass <= 99999999999) then
        raise exception 'mass must be kg from 0 to 99999999999, not %', coalesce(mass::text, 'NULL')
            using errcode = '22023', hint = 'Give it in kg.';
    end if;
    if from_age is null or not (from_age >= 0 and from_age <= 36500) then
        raise exception 'from_age must be days from 0 to 36500, not %', coalesce(from_age::text, 'NULL')
            using errcode = '22023', hint = 'Give the age of the batch in days.';
    end if;
    if days is null or not (days >= 0 and days <= 36500) then
        raise exception 'days must be from 0 to 36500, not %', coalesce(days::text, 'NULL')
            using errcode = '22023', hint = 'Give the time in store in days.';
    end if;
    return true;
end
$$;

comment on function internal.check_shrinkage_question(float8, float8, float8) is
'Raises 22023 for a mass, age or time that cannot be; true otherwise.';

create function api.shrinkage(item text, mass float8, from_age float8 default 0, days float8 default 7)
returns table (
    item_id int, item text, loss_kg float8, low_kg float8, high_kg float8, loss_fraction float8, left_kg float8, is_extrapolated boolean,
    version int, reason text
)
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
    with question as materialized (
        select internal.check_shrinkage_question(shrinkage.mass, shrinkage.from_age, shrinkage.days) as is_fair
    ), answer as (
        select c.*,
            internal.batch_loss(c.family, c.a, c.b, c.c, shrinkage.from_age, shrinkage.days) as fraction,
            shrinkage.from_age + shrinkage.days > c.age_max_days * internal.setting('fit.extrapolation_factor')::float8 as is_far
        from question as q
        cross join lateral api.coefficient(shrinkage.item) as c
        where q.is_fair
    )
    select a.item_id, a.item, shrinkage.mass * a.fraction,
        -- 80 %: 1.2816 standard deviations of a period around its curve. (greatest and least pass over NULL.)
        case when a.fraction is not null then greatest(0, shrinkage.mass * a.fraction * (1 - 1.2816 * internal.setting('fit.cv')::float8)) end,
        case when a.fraction is not null
            then least(shrinkage.mass, shrinkage.mass * a.fraction * (1 + 1.2816 * internal.setting('fit.cv')::float8)) end,
        a.fraction, shrinkage.mass * (1 - a.fraction), coalesce(a.is_far, a.fraction is not null), a.version,
        nullif(concat_ws('; ', a.reason,
            case when a.is_far then format('beyond the ages seen (up to %s days)', round(a.age_max_days::numeric, 1)) end,
            case when a.fraction is null and a.outcome <> 'failed' then 'by its curve nothing is left of a batch of that age' end), '')
    from answer as a;
end;

comment on function api.shrinkage(text, float8, float8, float8) is
'Tells what a batch will lose by drying: mass kg, weighed at from_age days, over the next days.

Returns kg expected, the 80 % band, the fraction, what is left; is_extrapolated where the ages go beyond 1.5 times those the fit
saw. Figures are NULL with a reason when no curve was fitted. Raises 22023 for an unknown product or an impossible number.
Example: select loss_kg from api.shrinkage(''СКУМБРИЯ Х/К'', mass => 13.4, from_age => 13, days => 6);';
