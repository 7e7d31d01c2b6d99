create function internal.peak_memory()
returns float8
language plpython3u volatile
set search_path = pg_catalog, pg_temp
as $python$
from weighhouse import pg
return pg.peak_memory()
$python$;

comment on function internal.peak_memory() is 'Gives the largest memory this session has had so far, MB; NULL where the system does not tell.';
