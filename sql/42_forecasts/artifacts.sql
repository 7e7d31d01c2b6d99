create function internal.sign_artifact(kind text, version int, data_hash text, header text, arrays bytea, native bytea)
returns bytea
language plpython3u volatile
set search_path = pg_catalog, pg_temp
as $python$
from weighhouse import artifacts, pg
with pg.reporting(plpy):
    return artifacts.Artifact(kind, version, data_hash, header, arrays, native).sign()
$python$;

comment on function internal.sign_artifact(text, int, text, text, bytea, bytea) is 'Signs an artifact with the key of this server.';

create function internal.is_signed_artifact(kind text, version int, data_hash text, header text, arrays bytea, native bytea, signature bytea)
returns boolean
language plpython3u volatile
set search_path = pg_catalog, pg_temp
as $python$
from weighhouse import artifacts, pg
with pg.reporting(plpy):
    return artifacts.Artifact(kind, version, data_hash, header, arrays, native).is_signed(signature)
$python$;

comment on function internal.is_signed_artifact(text, int, text, text, bytea, bytea, bytea) is 'Whether an artifact is what this server signed.';

create function internal.artifact_in_memory(id uuid)
returns boolean
language plpython3u volatile
set search_path = pg_catalog, pg_temp
as $python$
from weighhouse.artifacts import ARTIFACTS
return not ARTIFACTS.missing([id])
$python$;

comment on function internal.artifact_in_memory(uuid) is 'Whether this session has an artifact in its memory.';

create function internal.hold_artifact(
    id uuid, kind text, version int, data_hash text, header text, arrays bytea, native bytea, label text, signature bytea, for_learning boolean
)
returns void
language plpython3u volatile
set search_path = pg_catalog, pg_temp
as $python$
from weighhouse import artifacts, pg, tabular
with pg.reporting(plpy):
    if kind in tabular.KINDS:
        module = tabular.kind(kind)
    else:
        from weighhouse import forecasting
        module = forecasting.kind(kind)
    artifacts.hold(id, artifacts.Artifact(kind, version, data_hash, header, arrays, native, label), signature, module.FORMAT,
                   for_learning=for_learning)
$python$;

comment on function internal.hold_artifact(uuid, text, int, text, text, bytea, bytea, text, bytea, boolean) is
'Verifies an artifact, and keeps it in the memory of this session. Raises 55000 when it is not what was signed, ML203 for a newer form.';

create function internal.load_artifact(id uuid, for_learning boolean default false)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    found cache.model_artifact;
begin
    if load_artifact.id is null or (not for_learning and internal.artifact_in_memory(load_artifact.id)) then
        return;
    end if;
    select a.* into found from cache.model_artifact as a where a.id = load_artifact.id;
    if found.id is null then
        raise exception 'the artifact % is gone', load_artifact.id
            using errcode = '22023', hint = 'Housekeeping removed it: fit again, or take a newer version.';
    end if;
    perform internal.hold_artifact(found.id, found.kind, found.version, found.data_hash, found.header::text, found.arrays, found.native, found.label,
        found.signature, for_learning);
end
$$;

comment on function internal.load_artifact(uuid, boolean) is
'Brings an artifact into the memory of this session, verified; NULL = nothing to bring.

for_learning: also when it is there, and with what only learning needs. Raises 22023 when it is gone, 55000 when it is not what was signed, ML203 for a newer form.';
