create function internal.kind_traits(kind text)
returns jsonb
language plpython3u immutable
set search_path = pg_catalog, pg_temp
as $python$
import json
from weighhouse import forecasting, pg, tabular
with pg.reporting(plpy):
    return json.dumps(tabular.traits(kind) if kind in tabular.KINDS else forecasting.traits(kind))
$python$;

comment on function internal.kind_traits(text) is
'Tells what a kind of model can: family (series or table), learns (from all series together), continues (from what it learnt
before), regressors, tasks (of tables). Raises 22023 for an unknown kind.';

create function internal.regressor_kinds()
returns text
language plpython3u immutable
set search_path = pg_catalog, pg_temp
as $python$
from weighhouse import forecasting
return ", ".join(name for name in forecasting.KINDS if forecasting.traits(name)["regressors"]) or "none"
$python$;

comment on function internal.regressor_kinds() is 'Lists the kinds of series models that take regressors and holidays.';
