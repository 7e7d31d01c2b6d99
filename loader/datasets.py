"""Uploaded files become typed tables: rows go to a temporary table as text, the database judges."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import psycopg
import typer
from psycopg import sql
from psycopg.rows import dict_row

from loader import __version__, archive, database, schema
from loader.errors import LoaderError, Refused
from loader.ingest import Progress, no_progress
from loader.models import call, show
from loader.reading import COPY_OPTIONS, ReadOptions
from loader.reading.plain import Misfit, PlainTable
from loader.reading.stream import Bytes
from loader.terminal import ready, say, settings, table

datasets_app = typer.Typer(help="Uploaded files as typed tables.", no_args_is_help=True)

NAMES_KEPT = 10


@dataclass(frozen=True)
class UploadOptions:
    """How the cells of a file are to be understood, and how long the dataset is kept.

    Attributes
    ----------
    types : mapping of column to type
        Wins over what the data look like.
    keep : str or None
        As ``30 days`` or ``forever``; None = as the setting dataset.keep_days.
    archive : str or None
        Where the raw file is archived; None = nowhere.
    """

    decimal: str | None = None
    date_format: str | None = None
    time_zone: str | None = None
    types: Mapping[str, str] = field(default_factory=dict)
    keep: str | None = None
    archive: str | None = None

    def as_json(self) -> str:
        """Give what internal.judge_upload reads."""
        given = {
            "decimal": self.decimal,
            "date_format": self.date_format,
            "time_zone": self.time_zone,
            "types": dict(self.types) or None,
        }
        return json.dumps({key: value for key, value in given.items() if value is not None})


@dataclass
class UploadResult:
    """What became of one file."""

    file: str
    status: str
    name: str
    dataset_id: int | None = None
    version: int | None = None
    relation: str | None = None
    view: str | None = None
    rows: int = 0
    columns: list[dict[str, Any]] = field(default_factory=list)
    import_id: int | None = None
    expires_at: Any = None
    archive_url: str | None = None
    seconds: float = 0.0


class Unfit(Refused):
    """A file that becomes no dataset, for a line and a column where there is one."""

    def __init__(
        self,
        message: str,
        *,
        detail: str | None = None,
        hint: str | None = None,
        line: int | None = None,
        column: str | None = None,
    ) -> None:
        super().__init__(message, detail=detail, hint=hint)
        self.line = line
        self.column = column


def upload(
    dsn: str,
    path: str,
    name: str,
    read_options: ReadOptions,
    options: UploadOptions,
    *,
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> UploadResult:
    """Make the next version of a dataset of a file, or leave nothing but the record of a refusal.

    Parameters
    ----------
    dry_run
        Judges the file and rolls everything back.

    Raises
    ------
    Refused
        The file is not fit; the message names line and column.
    """
    data = Bytes(path)
    try:
        with PlainTable(data, read_options) as source, database.explaining(source.name):
            return database.retrying(
                lambda: _upload(dsn, source, name, options, dry_run=dry_run, progress=progress)
            )
    except Refused as error:
        if not dry_run and _is_about_the_file(error):
            _record_refusal(dsn, data, name, error)
        raise
    finally:
        data.close()


def _upload(
    dsn: str,
    source: PlainTable,
    name: str,
    options: UploadOptions,
    *,
    dry_run: bool,
    progress: Progress,
) -> UploadResult:
    started = time.monotonic()
    with database.connect(dsn) as connection:
        schema.require_current(connection)
        most = _limit(connection, source)
        _judge_header(connection, source)
        rows = _copy(connection, source, most, progress)
        _judge(connection, source, options, rows)
        result = _store(connection, source, name, options, rows)
        result.seconds = time.monotonic() - started
        if dry_run:
            connection.rollback()
            result.status, result.dataset_id, result.import_id = "checked", None, None
            result.relation = result.view = result.version = None
            return result
        if options.archive is not None:
            result.archive_url = archive.store(options.archive, source.data.path, source.sha256)
        connection.execute(
            "update core.source_data set duration_seconds = %s, archive_url = %s where id = %s",
            (result.seconds, result.archive_url, result.import_id),
        )
        connection.execute(
            "insert into core.data_lineage (source_file_id, process_name, input_records,"
            " output_records, status, execution_time_ms, version)"
            " values (%s, 'data_import', %s, %s, 'success', %s, %s)",
            (result.import_id, rows, rows, result.seconds * 1000, __version__),
        )
        connection.commit()
    return result


def summary(result: UploadResult) -> str:
    """Tell what became of a file in words."""
    columns = ", ".join(f"{column['name']} {column['type']}" for column in result.columns[:20])
    if len(result.columns) > 20:
        columns += f" … {len(result.columns) - 20} more"
    head = f"{result.file}  {result.status}"
    if result.relation is not None:
        kept = "for good" if result.expires_at is None else f"until {result.expires_at:%Y-%m-%d}"
        head = (
            f"{result.file}  dataset {result.name} version {result.version}"
            f"  read it as {result.view} (this version: {result.relation})  kept {kept}"
        )
    return f"{head}\n  {result.rows} rows  {result.seconds:.1f} s\n  {columns}"


def _limit(connection: psycopg.Connection[Any], source: PlainTable) -> int:
    row = connection.execute("select internal.setting('dataset.max_megabytes')").fetchone()
    assert row is not None
    most = int(row[0] * 1_000_000)
    if source.size_bytes > most:
        raise Unfit(
            f"{source.name}: {source.size_bytes / 1e6:.1f} MB, more than {most / 1e6:g} MB",
            hint="Upload less of it, or raise the setting dataset.max_megabytes.",
        )
    return most


def _judge_header(connection: psycopg.Connection[Any], source: PlainTable) -> None:
    row = connection.execute(
        "select problem, hint, place from internal.judge_header(%s) limit 1", (source.names,)
    ).fetchone()
    if row is None:
        return
    column = source.names[row[2] - 1] or None if row[2] else None
    raise Unfit(
        f"{source.name}:{source.header_line}{_column(column)}: {row[0]}",
        detail="Nothing was stored but the record of this upload.",
        hint=row[1],
        line=source.header_line,
        column=column,
    )


def _column(name: str | None) -> str:
    return f" ({name[:80]})" if name else ""


def _copy(
    connection: psycopg.Connection[Any], source: PlainTable, most: int, progress: Progress
) -> int:
    """Send all cells as they are; nobody else sees the table, and it goes with the session."""
    cells = sql.SQL(", ").join(
        sql.Identifier(f"c{place}") for place in range(1, len(source.names) + 1)
    )
    connection.execute(
        sql.SQL("create temp table upload_row (line bigint, {} text) on commit drop").format(
            sql.SQL(" text, ").join(
                sql.Identifier(f"c{place}") for place in range(1, len(source.names) + 1)
            )
        )
    )
    statement = sql.SQL("copy pg_temp.upload_row (line, {}) from stdin ({})").format(
        cells, sql.SQL(COPY_OPTIONS)
    )
    rows = 0
    with connection.cursor() as cursor, cursor.copy(statement) as stream:
        for block, count in source.copy_blocks(most):
            stream.write(block)
            rows += count
            progress(source.name, source.bytes_read, source.size_bytes, rows, 0)
    return rows


def _judge(
    connection: psycopg.Connection[Any], source: PlainTable, options: UploadOptions, rows: int
) -> None:
    problems = connection.execute(
        "select problem, hint, line, column_name from internal.judge_upload(%s, %s, %s)",
        (source.names, source.header_line, options.as_json()),
    ).fetchall()
    if not problems:
        return
    texts = [
        f"{source.name}:{line}{_column(column)}: {problem}" for problem, _, line, column in problems
    ]
    more = texts[1:NAMES_KEPT]
    if len(texts) > NAMES_KEPT:
        more.append(f"and {len(texts) - NAMES_KEPT} columns more")
    raise Unfit(
        texts[0],
        detail="; ".join(
            [*more, f"of {rows} rows nothing was stored but the record of this upload"]
        ),
        hint=problems[0][1],
        line=problems[0][2],
        column=problems[0][3],
    )


def _store(
    connection: psycopg.Connection[Any],
    source: PlainTable,
    name: str,
    options: UploadOptions,
    rows: int,
) -> UploadResult:
    row = connection.execute(
        "insert into core.source_data (file_name, file_path, file_hash, layout, size_bytes,"
        " encoding, options, read_count, loaded_count, processed)"
        " values (%s, %s, %s, 'dataset', %s, %s, %s, %s, %s, true) returning id",
        (
            source.name,
            str(source.data.path) if source.name != "stdin" else None,
            source.sha256,
            source.size_bytes,
            source.encoding,
            json.dumps({"dataset": name} | json.loads(options.as_json())),
            rows,
            rows,
        ),
    ).fetchone()
    assert row is not None
    with connection.cursor(row_factory=dict_row) as cursor:
        stored = cursor.execute(
            "select dataset_id, version, relation, view, row_count, expires_at"
            " from internal.store_upload(%s, %s, %s, %s, %s, %s)",
            (name, source.name, source.sha256, source.size_bytes, row[0], options.keep),
        ).fetchone()
        assert stored is not None
        columns = cursor.execute(
            "select name, type, empty_count, distinct_count from core.dataset_column"
            " where dataset_id = %s order by position",
            (stored["dataset_id"],),
        ).fetchall()
    return UploadResult(
        file=source.name,
        status="stored",
        name=name,
        dataset_id=stored["dataset_id"],
        version=stored["version"],
        relation=stored["relation"],
        view=stored["view"],
        rows=stored["row_count"],
        columns=columns,
        import_id=row[0],
        expires_at=stored["expires_at"],
    )


def _is_about_the_file(error: Refused) -> bool:
    """Tell what is wrong with a file from a server without room, a cancel, or a bad option."""
    cause = error.__cause__
    # Columns that break a view, or more of them than a row has room for.
    return not isinstance(cause, psycopg.Error) or (cause.sqlstate or "").startswith(("2BP", "54"))


def _record_refusal(dsn: str, source: Bytes, name: str, error: Refused) -> None:
    """Leave a record of what was refused; not being able to must not hide the first error."""
    line = error.line if isinstance(error, (Unfit, Misfit)) else None
    column = error.column if isinstance(error, Unfit) else None
    try:
        with database.connect(dsn) as connection:
            connection.execute(
                "select internal.refuse_upload(%s, %s, %s, %s, %s, %s, %s, %s)",
                (
                    name,
                    source.name,
                    source.sha256,
                    source.size_bytes,
                    str(error),
                    error.hint,
                    line,
                    column,
                ),
            )
            connection.execute(
                "insert into core.data_lineage (process_name, status, error_message, version)"
                " values ('data_import', 'failed', %s, %s)",
                (str(error), __version__),
            )
    except (LoaderError, psycopg.Error):
        return


# ----------------------------------------------------------------------------------- the command

Name = Annotated[str, typer.Argument(help="Name of the dataset.")]
Owner = Annotated[str | None, typer.Option(help="Whose; default your own.")]
Version = Annotated[int | None, typer.Option(help="Which version; default the newest.")]


@datasets_app.command("list")
def datasets_list(
    name: Annotated[str | None, typer.Argument(help="Name; default all.")] = None,
    owner: Annotated[str | None, typer.Option(help="Whose; default everybody's.")] = None,
    status: Annotated[str | None, typer.Option(help="ready, refused, dropped, expired.")] = None,
    most: Annotated[int, typer.Option(help="How many at most, 1 to 1000.")] = 50,
) -> None:
    """Lists uploads of datasets, newest first, those refused too."""
    rows = call("list_datasets", name=name, owner=owner, status=status, page_size=most)
    shown = ("at", "owner", "name", "version", "status", "row_count", "column_count", "view")
    more = ("expires_at", "refusal")
    say(
        rows,
        lambda: (
            table([*shown, *more], [[row[key] for key in (*shown, *more)] for row in rows])
            if rows
            else "no dataset was uploaded"
        ),
    )


@datasets_app.command("show")
def datasets_show(name: Name, version: Version = None, owner: Owner = None) -> None:
    """Shows a dataset: where it is read, and the profile of its columns."""
    with ready() as connection, connection.cursor(row_factory=dict_row) as cursor:
        # A version that was asked for is shown also when its table is gone.
        found = cursor.execute(
            "select (d).* from internal.find_dataset(%s, %s, %s, %s) as d",
            (name, version, owner, version is None),
        ).fetchone()
        assert found is not None
        columns = cursor.execute(
            "select position, column_name, type, empty_count, empty_percent, distinct_count,"
            " minimum, maximum, mean, stddev, outlier_count, most_frequent, most_frequent_count"
            " from bi.dataset_column where dataset_id = %s order by position",
            (found["id"],),
        ).fetchall()
        events = cursor.execute(
            "select happened_at, event, by_role, reason, row_count, run_count, artifact_count,"
            " fit_count, needed_count from core.dataset_event where dataset_id = %s order by id",
            (found["id"],),
        ).fetchall()

    def text() -> str:
        parts = ["\n".join(f"{k}: {v}" for k, v in found.items() if v is not None)]
        for title, rows in (("Columns", columns), ("Events", events)):
            if rows:
                values = [list(row.values()) for row in rows]
                parts.append(table(list(rows[0]), values, title=title))
        return "\n\n".join(parts)

    say(found | {"columns": columns, "events": events}, text)


@datasets_app.command("diff")
def datasets_diff(
    name: Name,
    from_version: Annotated[int, typer.Argument(help="Older version.")],
    to_version: Annotated[int, typer.Argument(help="Newer version.")],
    owner: Owner = None,
) -> None:
    """Tells what differs between two versions: columns, types, rows, figures."""
    rows = call(
        "diff_datasets", name=name, from_version=from_version, to_version=to_version, owner=owner
    )
    show(rows, empty="they are alike")


@datasets_app.command("drop")
def datasets_drop(
    name: Name,
    version: Annotated[int | None, typer.Option(help="Which version; default all.")] = None,
    owner: Owner = None,
    reason: Annotated[str | None, typer.Option(help="Why; kept with its record.")] = None,
) -> None:
    """Drops a dataset with the runs and fits of it; its record and profile stay."""
    if not settings.yes and sys.stdin.isatty():
        what = "all its versions" if version is None else f"version {version}"
        typer.confirm(f"Drop {what} of dataset {name}?", abort=True)
    show(call("drop_dataset", name=name, version=version, owner=owner, reason=reason))


@datasets_app.command("expire")
def datasets_expire() -> None:
    """Removes the datasets whose time is over, as the job housekeeping does."""
    show(call("expire_datasets"), empty="no dataset has expired")
