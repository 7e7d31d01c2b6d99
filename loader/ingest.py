"""Files come in: rows to staging as text, verdicts by the database, all in one transaction."""

from __future__ import annotations

import contextlib
import gc
import json
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Generic, TypeVar

import psycopg
from psycopg import sql

from loader import __version__, archive, database, movements, schema
from loader.errors import Busy, LoaderError, Refused, SchemaMismatch, UsageError
from loader.movements import EMPTY_STAGING, Accepted, copy_in
from loader.reading import (
    COPY_OPTIONS,
    ROWS_AT_ONCE,
    Kinds,
    ReadOptions,
    Source,
    open_source,
)

T = TypeVar("T")

# One import at a time: staging holds the rows of one file, and who comes second finds the first's.
LOCK = 0x57454948
BLOCK_ROWS = 50_000


@dataclass(frozen=True)
class ImportOptions:
    """How the values of a file are to be understood; the shape is in `ReadOptions`."""

    decimal: str | None = None
    date_format: str | None = None
    time_zone: str | None = None
    dst: str = "reject"
    on_conflict: str = "skip"
    warehouse: str | None = None
    period_start: str | None = None
    period_end: str | None = None
    max_rejects: str | None = None
    force: bool = False
    archive: str | None = None
    lock_wait_seconds: int = 600

    def as_json(self) -> str:
        """Give what the accept functions read."""
        kept = {
            key: value
            for key, value in asdict(self).items()
            if value is not None
            and key not in ("max_rejects", "force", "archive", "lock_wait_seconds")
        }
        return json.dumps(kept)


@dataclass
class ImportResult:
    """What became of one file: read = loaded + duplicate + rejected."""

    file: str
    status: str
    import_id: int | None = None
    layout: str | None = None
    encoding: str | None = None
    read: int = 0
    loaded: int = 0
    duplicate: int = 0
    rejected: int = 0
    skipped: int = 0
    seconds: float = 0.0
    note: str | None = None
    problems: list[dict[str, Any]] = field(default_factory=list)
    archive_url: str | None = None


Progress = Callable[[str, int, int, int, int], None]


def no_progress(name: str, done: int, size: int, rows: int, rejected: int) -> None:
    """Show nothing."""


def import_file(
    dsn: str,
    path: str,
    read_options: ReadOptions,
    options: ImportOptions,
    *,
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> ImportResult:
    """Bring one file in, whole or not at all.

    Parameters
    ----------
    dry_run
        Judges every row, reports the first problems, and rolls everything back.
    progress
        Called as (name, bytes done, bytes in all, rows, rejected).

    Raises
    ------
    Refused
        The file cannot be read, or has more rejected rows than allowed: nothing was loaded.
    Busy
        Another import holds the lock for longer than the wait.
    """
    with open_source(path, read_options) as source:
        try:
            return database.retrying(
                lambda: _import(dsn, source, options, dry_run=dry_run, progress=progress)
            )
        except psycopg.Error as error:
            failure: LoaderError = _explain(error, source)
            if not dry_run:
                _record_failure(dsn, source, str(failure))
            raise failure from error
        except LoaderError as error:
            if not isinstance(error, (Busy, SchemaMismatch)) and not dry_run:
                _record_failure(dsn, source, str(error))
            raise


def _explain(error: psycopg.Error, source: Source) -> LoaderError:
    if error.sqlstate == "22007":
        return Refused(
            f"{source.name}: {error.diag.message_primary}",
            detail="nothing of this file was loaded",
            hint=error.diag.message_hint,
        )
    return database.explain(error, what=source.name)


def _import(
    dsn: str, source: Source, options: ImportOptions, *, dry_run: bool, progress: Progress
) -> ImportResult:
    started = time.monotonic()
    with database.connect(dsn) as connection:
        schema.require_current(connection)
        if (known := _known(connection, source)) is not None and not (dry_run or options.force):
            return _archive(connection, source, options, known)
        _lock(connection, options.lock_wait_seconds)
        # Who waited for the lock may have waited for the very same file.
        if (known := _known(connection, source)) is not None:
            if options.force:
                raise UsageError(
                    f"{source.name} is imported already (loader imports show {known.import_id})",
                    hint=f"take it back first: loader imports undo {known.import_id}",
                )
            if not dry_run:
                return _archive(connection, source, options, known)
        result = _load(connection, source, options, progress, dry_run=dry_run)
        result.seconds = time.monotonic() - started
        if dry_run:
            connection.rollback()
            result.status = "checked"
            return result
        connection.execute(
            "update core.source_data set duration_seconds = %s where id = %s",
            (result.seconds, result.import_id),
        )
        _lineage(connection, result)
        _archive(connection, source, options, result)
        connection.commit()
    return result


def _archive(
    connection: psycopg.Connection[Any],
    source: Source,
    options: ImportOptions,
    result: ImportResult,
) -> ImportResult:
    """Keep the raw file where that was asked for; what cannot be kept is not imported."""
    if options.archive is not None:
        result.archive_url = archive.store(options.archive, source.path, source.sha256)
        connection.execute(
            "update core.source_data set archive_url = %s where id = %s",
            (result.archive_url, result.import_id),
        )
    return result


def archive_setting(dsn: str) -> str | None:
    """Read where raw files are archived when nobody says."""
    with database.explaining(), database.connect(dsn) as connection:
        try:
            row = connection.execute("select internal.setting_text('archive.url')").fetchone()
        except (psycopg.errors.UndefinedFunction, psycopg.errors.InvalidSchemaName):
            return None  # what is wrong with the database the import says
    return None if row is None else row[0]


def archived(connection: psycopg.Connection[Any], wanted: str) -> dict[str, Any]:
    """Find an archived file by the number of its import or the start of its hash."""
    with connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        rows = cursor.execute(
            "select id as import_id, file_name, file_hash, archive_url from core.source_data"
            " where case when %(wanted)s ~ '^[0-9]{1,9}$' then id = %(wanted)s::numeric"
            " else length(%(wanted)s) >= 12 and starts_with(file_hash, lower(%(wanted)s)) end"
            " order by archive_url is null, id desc",
            {"wanted": wanted},
        ).fetchall()
    if not rows:
        raise UsageError(f"there is no import {wanted}", hint="see loader imports list")
    if len({row["file_hash"] for row in rows}) > 1:
        raise UsageError(f"several files begin with {wanted}", hint="give more of the hash")
    if rows[0]["archive_url"] is None:
        raise UsageError(
            f"{rows[0]['file_name']} (import {rows[0]['import_id']}) is not archived",
            hint="import the file again with --archive: what is known is archived only",
        )
    return rows[0]


def _known(connection: psycopg.Connection[Any], source: Source) -> ImportResult | None:
    row = connection.execute(
        "select id, upload_date, file_name, layout, read_count, loaded_count, duplicate_count,"
        " rejected_count, skipped_count from core.source_data"
        " where file_hash = %s and undone_at is null and layout <> 'dataset'",
        (source.sha256,),
    ).fetchone()
    if row is None:
        return None
    named = "" if row[2] == source.name else f" as {row[2]}"
    return ImportResult(
        file=source.name,
        status="already imported",
        import_id=row[0],
        layout=row[3],
        read=row[4],
        loaded=row[5],
        duplicate=row[6],
        rejected=row[7],
        skipped=row[8],
        note=f"already imported on {row[1]:%Y-%m-%d %H:%M}{named}",
    )


def _lock(connection: psycopg.Connection[Any], wait_seconds: int) -> None:
    connection.execute(
        sql.SQL("set local lock_timeout = {}").format(sql.Literal(f"{wait_seconds}s"))
    )
    try:
        with connection.transaction():
            connection.execute("select pg_advisory_xact_lock(%s)", (LOCK,))
    except psycopg.errors.LockNotAvailable as error:
        row = connection.execute(
            "select a.pid, a.xact_start from pg_locks as l inner join pg_stat_activity as a"
            " using (pid) where l.locktype = 'advisory' and l.objid = %s and l.granted"
            " and l.database = a.datid and a.datname = current_database()",
            (LOCK,),
        ).fetchone()
        who = "" if row is None else f" (pid {row[0]}, since {row[1]:%H:%M:%S})"
        raise Busy(
            f"another import runs{who}", hint="run the same command again when it has ended"
        ) from error
    connection.execute("set local lock_timeout = 0")


def _load(
    connection: psycopg.Connection[Any],
    source: Source,
    options: ImportOptions,
    progress: Progress,
    *,
    dry_run: bool,
) -> ImportResult:
    result = ImportResult(
        file=source.name, status="loaded", layout=source.layout, encoding=source.encoding
    )
    zone = options.time_zone or _default_zone(connection)
    if zone is not None and not _zone_exists(connection, zone):
        raise UsageError(f"unknown time zone {zone}", hint="use a name such as Europe/Moscow")
    settings = json.loads(options.as_json()) | ({"time_zone": zone} if zone else {})
    if source.period is not None and "period_end" not in settings:
        settings["period_start"], settings["period_end"] = source.period
    # A check of a file that is imported already must not meet its own ledger row.
    file_hash = source.sha256 if not dry_run else "0" * 64
    row = connection.execute(
        "insert into core.source_data (file_name, file_path, file_hash, layout, size_bytes,"
        " encoding, options) values (%s, %s, %s, %s, %s, %s, %s) returning id",
        (
            source.name,
            source.path and str(source.path),
            file_hash,
            source.layout,
            source.size_bytes,
            source.encoding,
            json.dumps(settings),
        ),
    ).fetchone()
    assert row is not None
    result.import_id = row[0]
    # Movements are independent of each other; the other layouts need all their rows at once
    # (totals, first and last).
    if source.layout == "movements":
        _accept_stream(connection, source, settings, result, progress)
    else:
        _accept_whole(connection, source, settings, result, progress)
    for line, raw, reason in source.bad_rows:
        connection.execute(
            "insert into core.validation_errors (error_type, severity_level, description,"
            " source_data_id, file_name, line, raw_text, reason)"
            " values ('validation_failure', 'high', %s, %s, %s, %s, %s, 'unreadable')",
            (reason, result.import_id, source.name, line, raw),
        )
    result.read += len(source.bad_rows)
    result.rejected += len(source.bad_rows)
    result.skipped = sum(source.skipped.values())
    _keep_raw_text(connection, source, result)
    result.problems = _first_problems(connection, result)
    if not dry_run:
        _refuse_too_many(connection, source, options, result)
    connection.execute(
        "update core.source_data set read_count = %s, loaded_count = %s, duplicate_count = %s,"
        " rejected_count = %s, skipped_count = %s where id = %s",
        (
            result.read,
            result.loaded,
            result.duplicate,
            result.rejected,
            result.skipped,
            result.import_id,
        ),
    )
    return result


def _accept_whole(
    connection: psycopg.Connection[Any],
    source: Source,
    settings: dict[str, Any],
    result: ImportResult,
    progress: Progress,
) -> None:
    """Stage all rows of a file, then have them judged together."""
    table = "norm" if source.layout == "norms" else "row"
    connection.execute(sql.SQL("truncate {}").format(sql.Identifier("staging", table)))
    rows = 0
    with connection.cursor() as cursor:
        for block, count in source.copy_blocks(BLOCK_ROWS):
            copy_in(cursor, table, source.columns, COPY_OPTIONS, block)
            rows += count
            progress(source.name, source.bytes_read, source.size_bytes, rows, 0)
        if rows:
            _accept(cursor, source, settings, result)
        cursor.execute(EMPTY_STAGING)


def _accept_stream(
    connection: psycopg.Connection[Any],
    source: Source,
    settings: dict[str, Any],
    result: ImportResult,
    progress: Progress,
) -> None:
    """Have one block stored while the next is read."""
    assert result.import_id is not None
    blocks = movements.read_blocks(
        source.batches(min(ROWS_AT_ONCE, movements.BLOCK_ROWS)),
        lambda: Kinds(source.columns, settings.get("decimal")),
        lambda: source.bytes_read,
    )
    with (
        _streaming(),
        _Ahead(blocks) as read,
        movements.Movements(connection, result.import_id, settings) as intake,
    ):
        for block in read:
            _count(result, intake.store(block))
            progress(source.name, block.bytes_read, source.size_bytes, result.read, result.rejected)


@contextlib.contextmanager
def _streaming() -> Iterator[None]:
    """Set Python to rows by the million, read by one thread and sent by another.

    The search for cycles looks at texts in vain, and the server should not wait for its next rows
    until the thread that reads has had its usual five milliseconds.
    """
    was_enabled, interval = gc.isenabled(), sys.getswitchinterval()
    gc.disable()
    sys.setswitchinterval(0.0002)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        if was_enabled:
            gc.enable()


def _accept(
    cursor: psycopg.Cursor[Any], source: Source, settings: dict[str, Any], result: ImportResult
) -> None:
    accept = sql.SQL("select (a).* from {}(%s, %s) as a").format(
        sql.Identifier("internal", f"accept_{source.layout}")
    )
    row = cursor.execute(accept, (result.import_id, json.dumps(settings))).fetchone()
    assert row is not None
    _count(result, Accepted(*row))


def _count(result: ImportResult, accepted: Accepted) -> None:
    result.read += accepted.read
    result.loaded += accepted.loaded
    result.duplicate += accepted.duplicate
    result.rejected += accepted.rejected


class _Ahead(Generic[T]):
    """Runs an iterator in a thread, one item ahead of who uses them."""

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._queue: queue.Queue[tuple[T] | BaseException | None] = queue.Queue(maxsize=1)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Iterator[T]:
        self._thread.start()
        return self._taken()

    def __exit__(self, *exception: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _taken(self) -> Iterator[T]:
        while (item := self._queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item[0]

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._put((item,)):
                    return
            self._put(None)
        except BaseException as error:  # handed over: raised again where the items are used
            self._put(error)

    def _put(self, item: tuple[T] | BaseException | None) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False


def _default_zone(connection: psycopg.Connection[Any]) -> str | None:
    row = connection.execute("select internal.setting_text('import.time_zone')").fetchone()
    return None if row is None else row[0]


def _zone_exists(connection: psycopg.Connection[Any], zone: str) -> bool:
    row = connection.execute(
        "select exists (select from pg_timezone_names where name = %s)", (zone,)
    ).fetchone()
    return bool(row and row[0])


def _keep_raw_text(
    connection: psycopg.Connection[Any], source: Source, result: ImportResult
) -> None:
    rows = connection.execute(
        "select distinct line from core.validation_errors"
        " where source_data_id = %s and raw_text is null and line is not null",
        (result.import_id,),
    ).fetchall()
    if not rows:
        return
    raw = source.raw_lines({row[0] for row in rows})
    with connection.cursor() as cursor:
        cursor.executemany(
            "update core.validation_errors set raw_text = %s"
            " where source_data_id = %s and line = %s and raw_text is null",
            [(text, result.import_id, line) for line, text in raw.items()],
        )


def _first_problems(
    connection: psycopg.Connection[Any], result: ImportResult, most: int = 20
) -> list[dict[str, Any]]:
    rows = connection.execute(
        "select line, column_name, reason, description, raw_text from core.validation_errors"
        " where source_data_id = %s and reason is not null order by line, id limit %s",
        (result.import_id, most),
    ).fetchall()
    names = ("line", "column", "reason", "description", "raw_text")
    return [dict(zip(names, row, strict=True)) for row in rows]


def _refuse_too_many(
    connection: psycopg.Connection[Any],
    source: Source,
    options: ImportOptions,
    result: ImportResult,
) -> None:
    limit = options.max_rejects
    if limit is None:
        row = connection.execute("select internal.setting_text('import.max_rejects')").fetchone()
        limit = (row and row[0]) or "100%"
    try:
        allowed = float(limit.rstrip("% ")) / 100 * result.read if "%" in limit else float(limit)
    except ValueError as error:
        raise UsageError(
            f"--max-rejects {limit} is neither a number nor a share", hint="write 100 or 5%"
        ) from error
    if result.rejected > allowed:
        first = result.problems[0] if result.problems else {}
        where = f"{source.name}:{first.get('line')}" + (
            f" ({first['column']})" if first.get("column") else ""
        )
        raise Refused(
            f"{source.name}: {result.rejected} of {result.read} rows rejected, more than"
            f" {limit} allowed",
            detail=f"{where}: {first.get('description')}; nothing of this file was loaded",
            hint=f"loader check {source.name} shows the first problems",
        )


def _lineage(connection: psycopg.Connection[Any], result: ImportResult) -> None:
    connection.execute(
        "insert into core.data_lineage (source_file_id, process_name, input_records,"
        " output_records, status, execution_time_ms, version)"
        " values (%s, 'data_import', %s, %s, %s, %s, %s)",
        (
            result.import_id,
            result.read,
            result.loaded,
            "partial" if result.rejected else "success",
            result.seconds * 1000,
            __version__,
        ),
    )


def _record_failure(dsn: str, source: Source, message: str) -> None:
    """Leave a trace of a refused file; not being able to is no reason to hide the first error."""
    try:
        with database.connect(dsn) as connection:
            connection.execute(
                "insert into core.data_lineage (process_name, status, error_message, version)"
                " values ('data_import', 'failed', %s, %s)",
                (f"{source.name}: {message}", __version__),
            )
    except (LoaderError, psycopg.Error):
        return


def list_imports(connection: psycopg.Connection[Any], *, undone: bool = False) -> list[Any]:
    """List the ledger, newest first."""
    return connection.execute(
        "select id, file_name, layout, upload_date, read_count, loaded_count, duplicate_count,"
        " rejected_count, undone_at from core.source_data where undone_at is null or %s"
        " order by id desc",
        (undone,),
    ).fetchall()


def show_import(connection: psycopg.Connection[Any], import_id: int) -> dict[str, Any]:
    """Give everything the ledger knows of one file."""
    with connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        row = cursor.execute(
            "select * from core.source_data where id = %s", (import_id,)
        ).fetchone()
        if row is None:
            raise UsageError(f"there is no import {import_id}", hint="see loader imports list")
        row["lineage"] = cursor.execute(
            "select process_name, process_timestamp, status, input_records, output_records,"
            " execution_time_ms from core.data_lineage where source_file_id = %s order by id",
            (import_id,),
        ).fetchall()
    return row


def undo_import(dsn: str, import_id: int) -> dict[str, Any]:
    """Take one file's facts back; what was derived from them is derived again."""
    with database.explaining(), database.connect(dsn) as connection:
        schema.require_current(connection)
        show_import(connection, import_id)
        _lock(connection, 600)
        row = connection.execute(
            "select movement_count, balance_count, shared_files, norm_count"
            " from api.undo_import(%s)",
            (import_id,),
        ).fetchone()
        assert row is not None
        return {
            "import_id": import_id,
            "movements": row[0],
            "balances": row[1],
            "shared_files": row[2],
            "norms": row[3],
        }


def rejects(connection: psycopg.Connection[Any], import_id: int) -> list[dict[str, Any]]:
    """List the rejected rows of a file."""
    show_import(connection, import_id)
    with connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        return cursor.execute(
            "select file_name as file, line, column_name as column, reason, description, raw_text"
            " from core.validation_errors where source_data_id = %s and reason is not null"
            " order by line, id",
            (import_id,),
        ).fetchall()


def retry_rejects(dsn: str, import_id: int, options: ImportOptions) -> ImportResult:
    """Judge the rejected rows of a file again, after a mapping or an option was mended."""
    started = time.monotonic()
    with database.explaining(), database.connect(dsn) as connection:
        schema.require_current(connection)
        ledger = show_import(connection, import_id)
        _lock(connection, options.lock_wait_seconds)
        row = connection.execute(
            "select (a).* from api.retry_rejects(%s, %s) as a", (import_id, options.as_json())
        ).fetchone()
        assert row is not None
        result = ImportResult(
            file=ledger["file_name"],
            status="retried",
            import_id=import_id,
            layout=ledger["layout"],
            read=row[0],
            loaded=row[1],
            duplicate=row[2],
            rejected=row[3],
            seconds=time.monotonic() - started,
        )
        _lineage(connection, result)
        result.problems = _first_problems(connection, result)
    return result
