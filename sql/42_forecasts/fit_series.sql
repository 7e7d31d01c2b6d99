create function internal.check_kind_options(kind text, options jsonb)
returns text
language plpython3u immutable
set search_path = pg_catalog, pg_temp
as $python$
from weighhouse.forecasting import bridge
from weighhouse import pg
with pg.reporting(plpy):
    return bridge.check_kind_options(kind, options)
$python$;

comment on function internal.check_kind_options(text, jsonb) is
'Completes the options of a kind of forecasting model; JSON. Raises 22023 for an unknown kind or option.';

create function internal.fit_series(
    kind text, kind_options jsonb, options jsonb, step_seconds float8, horizon int, steps bytea, "values" bytea, counts bytea, feature_steps bytea default null,
    feature_values bytea default null, feature_counts bytea default null
)
returns text
language plpython3u volatile
set search_path = pg_catalog, pg_temp
as $python$
from weighhouse.forecasting import bridge
from weighhouse import pg
with pg.reporting(plpy):
    return bridge.fit(kind, kind_options, options, step_seconds, horizon, steps, values, counts, pg.check_interrupts(plpy),
                      feature_steps, feature_values, feature_counts)
$python$;

comment on function internal.fit_series(text, jsonb, jsonb, float8, int, bytea, bytea, bytea, bytea, bytea, bytea) is
'Fits a batch of series and forecasts each; JSON, one object a series in order (weighhouse.forecasting.bridge says its form).

steps, values: string_agg of int8send and float8send, one series after the other; counts: int4send of how many each has; the same of
the regressors. options name the artifact of a kind that learns (internal.load_artifact brought it), else it learns from the batch.
Can be cancelled.';

create function internal.update_series(
    options jsonb, step_seconds float8, horizon int, steps bytea, "values" bytea, counts bytea, known jsonb, feature_steps bytea default null,
    feature_values bytea default null, feature_counts bytea default null
)
returns text
language plpython3u volatile
set search_path = pg_catalog, pg_temp
as $python$
from weighhouse.forecasting import bridge
from weighhouse import pg
with pg.reporting(plpy):
    return bridge.update(options, step_seconds, horizon, steps, values, counts, known, pg.check_interrupts(plpy),
                         feature_steps, feature_values, feature_counts)
$python$;

comment on function internal.update_series(jsonb, float8, int, bytea, bytea, bytea, jsonb, bytea, bytea, bytea) is
'Takes new observations into fitted series, their parameters held fixed; JSON as internal.fit_series, null where a fit is needed.

known: one object a series: kind, parameters, length, last_step.';

create function internal.backtest_series(
    kind text, kind_options jsonb, options jsonb, step_seconds float8, horizon int, folds jsonb, steps bytea, "values" bytea, counts bytea,
    feature_steps bytea default null, feature_values bytea default null, feature_counts bytea default null
)
returns text
language plpython3u volatile
set search_path = pg_catalog, pg_temp
as $python$
from weighhouse.forecasting import bridge
from weighhouse import pg
with pg.reporting(plpy):
    return bridge.backtest(kind, kind_options, options, step_seconds, horizon, folds, steps, values, counts, pg.check_interrupts(plpy),
                           feature_steps, feature_values, feature_counts)
$python$;

comment on function internal.backtest_series(text, jsonb, jsonb, float8, int, jsonb, bytea, bytea, bytea, bytea, bytea, bytea) is
'Evaluates a kind on a batch of series by rolling origin; JSON of forecasts, scores and failures (weighhouse.forecasting.bridge).';

create function internal.learn_series(
    kind text, kind_options jsonb, options jsonb, step_seconds float8, horizon int, steps bytea, "values" bytea, counts bytea, feature_steps bytea,
    feature_values bytea, feature_counts bytea, known uuid
)
returns table (form int, header text, arrays bytea, native bytea, native_format text, label text)
language plpython3u volatile
set search_path = pg_catalog, pg_temp
as $python$
from weighhouse.forecasting import bridge
from weighhouse import pg
with pg.reporting(plpy):
    return [bridge.learn_all(kind, kind_options, options, step_seconds, horizon, steps, values, counts, feature_steps, feature_values, feature_counts,
                             known, pg.check_interrupts(plpy))]
$python$;

comment on function internal.learn_series(text, jsonb, jsonb, float8, int, bytea, bytea, bytea, bytea, bytea, bytea, uuid) is
'Learns from all series of a model together; one row, as cache.model_artifact holds it.

known: an artifact to go on from (internal.load_artifact brought it), NULL = from nothing; the rest as for internal.fit_series.
Raises ML101 when there is nothing to learn from. Can be cancelled.';
