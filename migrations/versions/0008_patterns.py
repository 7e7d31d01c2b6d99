"""Patterns in the data and groups of products that behave alike."""

from loader.schema import run

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    run(r"""
select 1;
""")


def downgrade() -> None:
    run(r"""
select 1;
""")
