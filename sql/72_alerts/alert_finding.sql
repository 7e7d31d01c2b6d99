create type internal.alert_finding as (
    rule text, subject text, model text, version int, segment text, severity text, message text, value float8, threshold float8, day date
);

comment on type internal.alert_finding is
'A broken rule: what it is about, how bad, in words and figures; day: of the metrics it rests on, NULL = none.';
