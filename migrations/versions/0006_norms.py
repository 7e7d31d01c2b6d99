"""Norms of natural loss stand beside what the curves expect."""

from loader.schema import run

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    run(r"""
select 1;
""")


def downgrade() -> None:
    run(r"""
select 1;
""")
