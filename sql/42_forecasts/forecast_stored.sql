create function internal.missing_in_memory(ids uuid [])
returns uuid []
language plpython3u volatile
set search_path = pg_catalog, pg_temp
as $python$
from weighhouse.forecasting.memory import MEMORY
return MEMORY.missing(ids)
$python$;

comment on function internal.missing_in_memory(uuid []) is 'Lists the stored models this session does not have in its memory.';

create function internal.forecast_stored(
    ids uuid [], horizon int, levels float8 [], fetched uuid [], kinds text [], versions int [], hashes text [], parameters text [], signatures bytea []
)
returns table (place int, step int, mean float8, lower float8 [], upper float8 [])
language plpython3u volatile
set search_path = pg_catalog, pg_temp
as $python$
from weighhouse.forecasting import memory
from weighhouse import pg
with pg.reporting(plpy):
    rows = [memory.Stored(*row) for row in zip(fetched or [], kinds or [], versions or [], hashes or [], parameters or [], signatures or [], strict=True)]
    return list(memory.forecast(ids, rows, horizon, levels, pg.check_interrupts(plpy)))
$python$;

comment on function internal.forecast_stored(uuid [], int, float8 [], uuid [], text [], int [], text [], text [], bytea []) is
'Forecasts series from stored parameters, verified and parsed once a session.

ids: stored models, one a series; fetched and the arrays beside it: the rows of those that internal.missing_in_memory named.
Returns place in ids, step, mean, and the intervals, one of each level. Raises 55000 for parameters that are not what was signed, 22023
for a bad horizon or level.';

create function internal.sign_model(kind text, version int, data_hash text, parameters text)
returns bytea
language plpython3u volatile strict
set search_path = pg_catalog, pg_temp
as $python$
from weighhouse import pg, signing
from weighhouse.forecasting import memory
with pg.reporting(plpy):
    return signing.sign(memory.content(kind, version, data_hash, parameters))
$python$;

comment on function internal.sign_model(text, int, text, text) is 'Signs stored parameters with the key of this server.';

create function internal.is_signed_model(kind text, version int, data_hash text, parameters text, signature bytea)
returns boolean
language plpython3u volatile strict
set search_path = pg_catalog, pg_temp
as $python$
from weighhouse import pg, signing
from weighhouse.forecasting import memory
with pg.reporting(plpy):
    return signing.is_signed(memory.content(kind, version, data_hash, parameters), signature)
$python$;

comment on function internal.is_signed_model(text, int, text, text, bytea) is 'Whether stored parameters are those this server signed.';

create function internal.memory_figures()
returns table (entries int, bytes bigint, hits bigint, misses bigint, evictions bigint)
language plpython3u volatile
set search_path = pg_catalog, pg_temp
as $python$
from weighhouse.forecasting.memory import MEMORY
return [MEMORY.figures()]
$python$;

comment on function internal.memory_figures() is
'Counts the fitted models in the memory of this session, and how often they were found there since it began.';

create function internal.forecast_parameters(kind text, parameters jsonb, horizon int, levels float8 [])
returns table (step int, mean float8, lower float8 [], upper float8 [])
language plpython3u immutable
set search_path = pg_catalog, pg_temp
as $python$
import json
from weighhouse.forecasting import bridge
from weighhouse import pg
with pg.reporting(plpy):
    return bridge.forecast_rows(kind, json.loads(parameters), horizon, levels)
$python$;

comment on function internal.forecast_parameters(text, jsonb, int, float8 []) is
'Forecasts from parameters that were just fitted. Raises 22023 for a bad horizon or level.';
