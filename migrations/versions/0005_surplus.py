"""Surplus is recommended from the data, accepted as a pattern, and held against new periods."""

from loader.schema import run

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    run(r"""
select 1;
""")


def downgrade() -> None:
    run(r"""
select 1;
""")
