create function internal.judge_challenger(old_score float8, new_score float8, significant_percent float8, minor_percent float8)
returns table (decision text, decision_reason text, improvement_percent float8)
language sql immutable
begin atomic
    select case when i.improvement > i.minor then 'deployed' else 'rejected' end,
        case
            when i.old is null or i.new is null then 'no forecast could be compared'
            when i.improvement is null then 'the champion made no error'
            when i.improvement > i.significant then format('significant: %s %% better, more than %s %%', trim_scale(i.shown), i.significant)
            when i.improvement > i.minor then format('minor: %s %% better, more than %s %%', trim_scale(i.shown), i.minor)
            when i.shown = 0 then 'as good as the champion'
            when i.shown < 0 then format('%s %% worse', trim_scale(-i.shown))
            else format('only %s %% better, not more than %s %%', trim_scale(i.shown), i.minor)
        end, i.improvement
    from (
        select g.old, g.new, g.significant, g.minor, g.improvement, round(g.improvement::numeric, 2) as shown
        from (
            select x.old, x.new, x.significant, x.minor,
                -- A billionth of a percent is the noise of arithmetic: no error at all.
                case when x.old > 1e-9 then 100 * (x.old - x.new) / x.old when x.old <= 1e-9 and x.new <= 1e-9 then 0::float8 end as improvement
            from (
                values (judge_challenger.old_score, judge_challenger.new_score, judge_challenger.significant_percent, judge_challenger.minor_percent)
            ) as x (old, new, significant, minor)
        ) as g
    ) as i;
end;

comment on function internal.judge_challenger(float8, float8, float8, float8) is
'Decides between a champion and a challenger by their scores (smaller is better) and how much better, in percent, is enough.

improvement_percent: 100 (old - new) / old; NULL when a score is, or the champion''s is 0 and the challenger''s is not. A challenger
must be better by more than a threshold: exactly as much is not enough.';
