create or replace function bi.metric_loss(metric text, value float8)
returns float8
language sql immutable parallel safe
return case
    when metric_loss.metric ~ '^(r2|accuracy|precision|recall|f1|silhouette|auc)' then -metric_loss.value
    -- The number in its name is right.
    when metric_loss.metric ~ '^coverage_[0-9]+' then abs(metric_loss.value - substring(metric_loss.metric from '^coverage_([0-9]+)')::float8)
    when metric_loss.metric ~ '^bias' then abs(metric_loss.value)
    else metric_loss.value
end;

comment on function bi.metric_loss(text, float8) is
'Tells how bad the value of a metric is: smaller is better, whatever the metric. Of r2, accuracy and their like the negative; of
coverage the distance to what is right; of bias its size; of errors the value.';
