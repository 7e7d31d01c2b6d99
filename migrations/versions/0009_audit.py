"""Who changed what, and finding things by their words."""

from loader.schema import run

revision = "0009"
down_revision = "0008"

# Ё is Е, and a Latin letter that looks like a Cyrillic one is that letter: on both sides of a comparison, so that Latin words
# still meet themselves. A slash goes (Х/К, Х\К, ХК are one word), whatever else is no letter or digit parts words.
LOOK_ALIKES = ("ЁABCEHKMOPTXY", "ЕАВСЕНКМОРТХУ")


def spelled(text: str) -> str:
    """Write the words of a text as they are spelled."""
    folded = f"translate(upper({text}), '{LOOK_ALIKES[0]}/\\', '{LOOK_ALIKES[1]}')"
    return f"to_tsvector('pg_catalog.simple', regexp_replace({folded}, '[^[:alnum:]]+', ' ', 'g'))"


def words(text: str) -> str:
    """Write the words of a text as they are searched: as spelled, and their Russian (English) stems."""
    plain = f"translate(upper({text}), 'Ё/\\', 'Е')"
    stems = f"to_tsvector('pg_catalog.russian', regexp_replace({plain}, '[^[:alnum:]]+', ' ', 'g'))"
    return f"{spelled(text)} || {stems}"


# A table, and what is searched in it.
SEARCHED = {
    "nomenclature": words("name_key || ' ' || coalesce(item_group, '')"),
    "nomenclature_alias": words("raw_name"),
    "warehouses": words("name"),
    "source_data": words("file_name"),
    # A flag of a period says what every flag of its kind says (core.quality_flag): its words are searched there, once. Half a
    # million flags would make the accounting slow. A rejected row is data, and has no stems; descriptions are our own words.
    "validation_errors": "case when flag is null and raw_text is not null or notes is not null then"
    f" to_tsvector('pg_catalog.russian', description) || coalesce({words('notes')}, '')"
    f" || coalesce({spelled('left(raw_text, 1000)')}, '') end",
    "surplus_specifications": f"case when notes is not null then {words('notes')} end",
    "surplus_patterns": f"case when pattern_condition is not null then {words('pattern_condition')} end",
    "ai_patterns": words("description"),
    "preliminary_forecasts": f"case when notes is not null then {words('notes')} end",
    "priority_periods": f"case when description is not null then {words('description')} end",
}

# Pages are read in this order, newest first; small tables need no index for it, and an index
# of movements by time would cost every import: a product's own come by their key, all of them by chunk.
PAGED = {
    "calculation_data": "calculation_date",
    "validation_errors": "detection_date",
    "source_data": "upload_date",
    "coefficients": "calculation_date",
    "preliminary_forecasts": "forecast_date",
    "nomenclature": "created_date",
    "stock_balances": "period_end",
}

# A table, its key, columns that are no news, and what is recorded. Rows that come in by the thousand are not recorded when
# they are inserted: core.source_data, or the version of the fit, says where they came from.
AUDITED = {
    "coefficients": ("id", "calculation_data_id calculation_data_date", "update or delete"),
    "surplus_specifications": ("id", "search_words", "insert or update or delete"),
    "surplus_patterns": ("id", "search_words", "insert or update or delete"),
    "priority_periods": ("id", "search_words", "insert or update or delete"),
    "settings": ("name", "", "insert or update or delete"),
    "product_type_mapping": ("id", "", "insert or update or delete"),
    "operation_mapping": ("document_type", "", "insert or update or delete"),
    "quality_flag": ("flag", "", "insert or update or delete"),
    "nomenclature": ("id", "search_words", "update or delete"),
    "warehouses": ("id", "search_words", "insert or update or delete"),
    "stock_movements": ("nomenclature_id posted_at key_hash", "", "update or delete"),
    "stock_balances": ("id", "", "update or delete"),
}
# Of these an import that is taken back deletes millions of rows.
DELETED_IN_BULK = ("stock_movements", "stock_balances")


def upgrade() -> None:
    run(r"""
create table core.audit_log (
    id bigint generated always as identity primary key,
    at timestamptz not null default clock_timestamp(),
    by_role text not null default session_user,
    acting_role text not null,
    table_name text not null,
    key jsonb,
    action text not null check (action in ('insert', 'update', 'delete')),
    row_count bigint not null default 1 check (row_count > 0),
    before jsonb,
    after jsonb,
    reason text,
    application_name text,
    transaction_id bigint not null default pg_current_xact_id()::text::bigint,
    check ((key is null) = (before is null and after is null))
);
create index audit_log_at_idx on core.audit_log (at, id);
create index audit_log_table_name_idx on core.audit_log (table_name, key, id);
comment on index core.audit_log_at_idx is 'Usage: the changes in the order of time.';
comment on index core.audit_log_table_name_idx is 'Usage: the history of one row.';
comment on table core.audit_log is 'Holds who changed which fact, coefficient, rule or setting, when, from what to what; rows are only ever added, by triggers.';
comment on column core.audit_log.id is 'Key.';
comment on column core.audit_log.at is 'When.';
comment on column core.audit_log.by_role is 'Database role that logged in.';
comment on column core.audit_log.acting_role is 'Role it acted as (set role); the same where it did not.';
comment on column core.audit_log.table_name is 'Table of core.';
comment on column core.audit_log.key is 'Key of the row, column by column; NULL = many rows were deleted as one.';
comment on column core.audit_log.action is 'insert, update or delete.';
comment on column core.audit_log.row_count is 'Rows it stands for: 1, or those deleted as one.';
comment on column core.audit_log.before is 'The row before; NULL for an insert.';
comment on column core.audit_log.after is 'The row after; NULL for a delete.';
comment on column core.audit_log.reason is 'Why, as the caller said (setting weighhouse.reason of the transaction); NULL = not said.';
comment on column core.audit_log.application_name is 'Program that was connected; empty = it gave no name.';
comment on column core.audit_log.transaction_id is 'Transaction: rows with the same number belong together.';

-- State, since triggers are: sql/ is dropped and built again by every upgrade. With the rights of its owner, since nobody else
-- may write the trail. Table and key come as arguments: a trigger of a hypertable is told the name of the chunk.
create function core.record_change()
returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    ignored text[] := string_to_array(tg_argv[2], ' ');
    was jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) - ignored end;
    becomes jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) - ignored end;
begin
    if was is distinct from becomes then
        insert into core.audit_log (acting_role, table_name, key, action, before, after, reason, application_name)
        values (
            coalesce(nullif(current_setting('role'), 'none'), session_user), tg_argv[0],
            (
                select jsonb_object_agg(k.name, coalesce(was, becomes) -> k.name)
                from unnest(string_to_array(tg_argv[1], ' ')) as k (name)
            ),
            lower(tg_op), was, becomes, nullif(current_setting('weighhouse.reason', true), ''), current_setting('application_name', true)
        );
    end if;
    return null;
end
$$;
comment on function core.record_change() is
'Writes a row of the audit trail for each row inserted, updated or deleted; nothing where no column differs.

Trigger function: create trigger record_change after insert or update or delete on core.t for each row execute function
core.record_change(''t'', ''key columns'', ''columns that are no news''); columns parted by one space.';

create function core.record_bulk_delete()
returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    gone_count bigint;
begin
    select count(*) into gone_count from gone;
    if gone_count > 0 then
        insert into core.audit_log (acting_role, table_name, action, row_count, reason, application_name)
        values (
            coalesce(nullif(current_setting('role'), 'none'), session_user), tg_argv[0], 'delete', gone_count,
            nullif(current_setting('weighhouse.reason', true), ''), current_setting('application_name', true)
        );
    end if;
    return null;
end
$$;
comment on function core.record_bulk_delete() is
'Writes one row of the audit trail for all rows a statement deleted, with their number.

Trigger function, for transactions that set weighhouse.audit to summary: whoever sets it cannot delete without a trace.';
revoke all on function core.record_change(), core.record_bulk_delete() from public;
-- Who owns the tables makes the triggers of their chunks.
grant execute on function core.record_change(), core.record_bulk_delete() to weighhouse_owner;

alter table core.coefficients drop constraint coefficients_outcome_check;
alter table core.coefficients add constraint coefficients_outcome_check
    check (outcome in ('fitted', 'pooled', 'type_curve', 'failed', 'restored'));
comment on column core.coefficients.outcome is
'fitted: from own periods; pooled: drawn toward the type; type_curve: no own periods; failed: see reason; restored: figures of an earlier version.';

alter table core.validation_errors add column resolved_by text;
comment on column core.validation_errors.resolved_by is 'Database role that dealt with it; NULL = nobody yet, or the figures themselves.';
create index validation_errors_flag_idx on core.validation_errors (flag, detection_date, id) where flag is not null;
comment on index core.validation_errors_flag_idx is 'Usage: the newest findings of a check.';
""")
    for table, (key, ignored, events) in AUDITED.items():
        arguments = f"'{table}', '{key}', '{ignored}'"
        if table in DELETED_IN_BULK:
            run(f"""
create trigger record_change after update on core.{table}
    for each row execute function core.record_change({arguments});
create trigger record_delete after delete on core.{table}
    for each row when (current_setting('weighhouse.audit', true) is distinct from 'summary')
    execute function core.record_change({arguments});
create trigger record_bulk_delete after delete on core.{table}
    referencing old table as gone
    for each statement when (current_setting('weighhouse.audit', true) = 'summary')
    execute function core.record_bulk_delete('{table}');
""")
        else:
            run(f"""
create trigger record_change after {events} on core.{table}
    for each row execute function core.record_change({arguments});
""")
    for table, expression in SEARCHED.items():
        run(f"""
alter table core.{table} add column search_words tsvector generated always as ({expression}) stored;
comment on column core.{table}.search_words is 'What a search looks for: words as spelled, and their stems; NULL = nothing.';
create index {table}_search_words_idx on core.{table} using gin (search_words) where search_words is not null;
comment on index core.{table}_search_words_idx is 'Usage: search.';
""")
    for table, column in PAGED.items():
        run(f"""
create index {table}_page_idx on core.{table} ({column}, id);
comment on index core.{table}_page_idx is 'Usage: pages of the table, newest first.';
""")

    run(r"""
create index validation_errors_searched_idx on core.validation_errors (id) where search_words is not null;
comment on index core.validation_errors_searched_idx is 'Usage: search, the newest rows that have words.';
""")


def downgrade() -> None:
    for table in PAGED:
        run(f"drop index core.{table}_page_idx;")
    for table in SEARCHED:
        run(f"alter table core.{table} drop column search_words;")
    for table in AUDITED:
        run(f"drop trigger record_change on core.{table};")
    for table in DELETED_IN_BULK:
        run(
            f"drop trigger record_delete on core.{table}; drop trigger record_bulk_delete on core.{table};"
        )
    run(r"""
drop index core.validation_errors_flag_idx;
alter table core.validation_errors drop column resolved_by;
-- The figures stay; what was restored was fitted once.
update core.coefficients set outcome = 'fitted' where outcome = 'restored';
alter table core.coefficients drop constraint coefficients_outcome_check;
alter table core.coefficients add constraint coefficients_outcome_check check (outcome in ('fitted', 'pooled', 'type_curve', 'failed'));
comment on column core.coefficients.outcome is 'fitted: from own periods; pooled: drawn toward the type; type_curve: no own periods; failed: see reason.';
drop function core.record_change(), core.record_bulk_delete();
drop table core.audit_log;
""")
