create function internal.export_arrays(
    id uuid, kind text, version int, data_hash text, header text, arrays bytea, native bytea, signature bytea, most int
)
returns text
language plpython3u volatile
set search_path = pg_catalog, pg_temp
as $python$
from weighhouse import artifacts, export, pg
with pg.reporting(plpy):
    return export.arrays(id, artifacts.Artifact(kind, version, data_hash, header, arrays, native), signature, most)
$python$;

comment on function internal.export_arrays(uuid, text, int, text, text, bytea, bytea, bytea, int) is
'Writes the arrays of an artifact as JSON: by name shape, type, values; npy (base64) of one with more numbers than most. Raises 55000
for what is not as it was signed.';

create function internal.export_native(
    id uuid, kind text, version int, data_hash text, header text, arrays bytea, native bytea, signature bytea
)
returns bytea
language plpython3u volatile
set search_path = pg_catalog, pg_temp
as $python$
from weighhouse import artifacts, export, pg
with pg.reporting(plpy):
    return export.native(id, artifacts.Artifact(kind, version, data_hash, header, arrays, native), signature)
$python$;

comment on function internal.export_native(uuid, text, int, text, text, bytea, bytea, bytea) is
'Gives an artifact in the format of its library, once its signature is right. Raises 55000 where it is not, 22023 where there is no such
format.';
