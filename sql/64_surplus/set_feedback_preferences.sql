create function api.set_feedback_preferences(frequency text, auto_confirm_threshold float8)
returns int
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    known_id int;
begin
    if frequency is null or frequency not in ('immediate', 'daily', 'weekly', 'monthly', 'manual') then
        raise exception 'unknown frequency %', coalesce(frequency, 'NULL')
            using errcode = '22023', hint = 'Use immediate, daily, weekly, monthly or manual.';
    end if;
    if auto_confirm_threshold is null or not auto_confirm_threshold between 0 and 1 then
        raise exception 'auto_confirm_threshold cannot be %', coalesce(auto_confirm_threshold::text, 'NULL')
            using errcode = '22023', hint = 'Give a confidence from 0 to 1.';
    end if;
    select f.id into known_id
    from core.feedback_preferences as f
    where f.is_active and f.feedback_frequency = frequency and f.auto_confirm_threshold = set_feedback_preferences.auto_confirm_threshold;
    if known_id is null then
        update core.feedback_preferences as f set is_active = false, updated_date = now() where f.is_active;
        insert into core.feedback_preferences (feedback_frequency, auto_confirm_threshold)
        values (frequency, auto_confirm_threshold) returning id into known_id;
        perform internal.replay_patterns();
    end if;
    return known_id;
end
$$;

comment on function api.set_feedback_preferences(text, float8) is
'Sets how often people are asked about surplus patterns (is_feedback_due of bi.surplus_pattern), and when patterns confirm themselves.

frequency: immediate, daily, weekly, monthly, manual (never asked); auto_confirm_threshold: a confidence from 0 to 1, which judges
the patterns there are at once. What was set before stays as an inactive row. Returns the id. Raises 22023.
Example: select api.set_feedback_preferences(''weekly'', 0.7);';
