"""What the deployed curves expect of each closed period is worked out once, not at each reading."""

from loader.schema import run

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    run(r"""
create table core.period_expectation (
    calculation_data_id bigint primary key,
    coefficient_id bigint not null,
    expected_kg float8 not null,
    constraint figures_are_finite check (abs(expected_kg) < 'infinity')
);
comment on table core.period_expectation is 'Holds what a curve expects of a closed period; where there is no row for the curve in force, views work it out.';
comment on column core.period_expectation.calculation_data_id is 'The period: its figures are those of when the row was written (the accounting removes the row when they change).';
comment on column core.period_expectation.coefficient_id is 'The curve.';
comment on column core.period_expectation.expected_kg is 'Loss it expects from the exposure terms, kg (bi.expected_loss).';
""")


def downgrade() -> None:
    run(r"""
drop table core.period_expectation;
""")
