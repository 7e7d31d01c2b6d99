"""Who changed what, and finding things by their words."""

from loader.schema import run

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    run(r"""
select 1;
""")


def downgrade() -> None:
    run(r"""
select 1;
""")
