"""Anomalies, and what is asked of versions and runs."""

from loader.schema import run

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    run(r"""
select 1;
""")


def downgrade() -> None:
    run(r"""
select 1;
""")
