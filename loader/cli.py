"""The `loader` command: parses, dispatches, prints, and ends with the right exit code."""

from __future__ import annotations

import csv
import json
import logging
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn, cast, get_args

import typer

from loader import __version__, archive, catalog, datasets, doctor, ingest, report, schema, server
from loader.alerts import alerts_app, webhooks_app
from loader.datasets import datasets_app
from loader.errors import LoaderError, UsageError
from loader.holidays import holidays_app
from loader.jobs import ensure_clock, jobs_app
from loader.models import cache_app, models_app
from loader.reading import FactLayout, LayoutName, ReadOptions
from loader.terminal import (
    ProgressLine,
    connected,
    note,
    plain,
    ready,
    say,
    settings,
    spaced,
    table,
)
from loader.worker import worker

OK, SOME_FAILED, BUG = 0, 1, 70


app = typer.Typer(
    name="loader",
    help="Brings files into Weighhouse, migrates its database, and looks after it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
server_app = typer.Typer(help="The embedded server of a machine without one.", no_args_is_help=True)
db_app = typer.Typer(
    help="State by migration, code rebuilt: in one transaction.", no_args_is_help=True
)
imports_app = typer.Typer(help="The ledger of imported files.", no_args_is_help=True)
rejects_app = typer.Typer(help="Rows that were not accepted, and why.", no_args_is_help=True)
for sub, name in (
    (server_app, "server"),
    (db_app, "db"),
    (imports_app, "imports"),
    (rejects_app, "rejects"),
    (datasets_app, "datasets"),
    (models_app, "models"),
    (cache_app, "cache"),
    (jobs_app, "jobs"),
    (alerts_app, "alerts"),
    (webhooks_app, "webhooks"),
    (holidays_app, "holidays"),
):
    app.add_typer(sub, name=name, rich_help_panel=None)
app.command("worker")(worker)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"loader {__version__}")
        raise typer.Exit


@app.callback()
def options(
    dsn: Annotated[
        str | None, typer.Option(help="The server, as a URL or key=value pairs.")
    ] = None,
    service: Annotated[
        str | None, typer.Option(help="The server, by its name in pg_service.conf.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print results only.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print tracebacks.")] = False,
    no_progress: Annotated[bool, typer.Option("--no-progress", help="No progress line.")] = False,
    color: Annotated[str, typer.Option(help="auto or never.")] = "auto",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before removing things.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Brings files into Weighhouse, migrates its database, and looks after it.

    The server: --dsn, else --service, else DATABASE_URL, else PGHOST and its kin, else the embedded
    one (loader server start).
    """
    if color not in ("auto", "never"):
        raise UsageError(f"--color {color} is neither auto nor never")
    settings.dsn = dsn
    settings.service = service
    settings.json = as_json
    settings.quiet = quiet
    settings.verbose = verbose
    settings.progress = not (no_progress or quiet or as_json)
    settings.color = color == "auto" and "NO_COLOR" not in os.environ
    settings.yes = yes


# ------------------------------------------------------------------------------------------ server


@server_app.command("start")
def server_start(
    port: Annotated[
        int | None, typer.Option(help="Port on 127.0.0.1; default the next free.")
    ] = None,
    extras: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            help="Build it with more: neural (torch, 1 GB, for lstm, gru and nhits). Repeatable;"
            " stays when a later start does not name it.",
        ),
    ] = None,
) -> None:
    """Starts the embedded server, building it first where there is none."""
    info = server.start(port=port, progress=note, extras=extras or ())
    word = "is running" if info.started else "was running already"
    say(_public(info), f"server {word}: {info.dsn}")


@server_app.command("stop")
def server_stop(
    purge: Annotated[bool, typer.Option("--purge", help="Remove it with all its data.")] = False,
) -> None:
    """Stops the embedded server; with --purge removes it and its data."""
    if purge and not settings.yes and sys.stdin.isatty():
        typer.confirm(f"Remove {server.home()} with all data in it?", abort=True)
    was_running = server.stop(purge=purge, progress=note)
    stopped = "server is stopped" if was_running else "server was not running"
    say(
        {"was_running": was_running, "purged": purge, "home": str(server.home())},
        f"removed {server.home()}" if purge else stopped,
    )


@server_app.command("status")
def server_status() -> None:
    """Tells whether the embedded server runs, and where."""
    status = server.status()
    data = _public(status)
    say(data, "\n".join(f"{key}: {value}" for key, value in data.items()))


@server_app.command("dsn")
def server_dsn() -> None:
    """Prints the DSN of the embedded server."""
    say({"dsn": server.dsn()}, server.dsn())


@server_app.command(
    "psql", context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
)
def server_psql(context: typer.Context) -> None:
    """Opens psql on the embedded server; what follows goes to psql."""
    raise typer.Exit(server.psql(list(context.args)))


def _public(value: Any) -> dict[str, Any]:
    return {key: item if item is None else _simple(item) for key, item in asdict(value).items()}


def _simple(value: Any) -> Any:
    return value if isinstance(value, (bool, int, float, str)) else str(value)


@app.command("doctor")
def doctor_command() -> None:
    """Says what is there and what is missing; each line OK, WARN or FAIL, with the fix."""
    dsn: str | None
    try:
        dsn = settings.resolved()
    except LoaderError:
        dsn = None
    checks = doctor.run(dsn)
    lines = []
    for check in checks:
        lines.append(f"{check.verdict:<4}  {check.name}: {check.text}")
        if check.verdict != "OK" and check.fix:
            lines.append(f"      fix: {check.fix}")
    say([asdict(check) for check in checks], "\n".join(lines))
    if any(check.verdict == "FAIL" for check in checks):
        raise typer.Exit(SOME_FAILED)


# ---------------------------------------------------------------------------------------------- db


@db_app.command("upgrade")
def db_upgrade(
    revision: Annotated[str, typer.Argument(help="Where to; default the newest.")] = "head",
    sql: Annotated[bool, typer.Option("--sql", help="Print the statements only.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Do it and roll it back.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Rebuild also unchanged code.")] = False,
) -> None:
    """Brings state and code of the database to this version, or changes nothing."""
    if sql:
        typer.echo(schema.offline_sql(revision))
        return
    done = schema.upgrade(settings.resolved(), revision, dry_run=dry_run, force=force)
    clock = None
    if done.after == schema.head_revision() and not dry_run:
        clock = ensure_clock(settings.resolved())
    _say_upgrade(done, "checked (rolled back)" if dry_run else "upgraded", clock)


@db_app.command("downgrade")
def db_downgrade(
    revision: Annotated[str, typer.Argument(help="An older revision, or base for none.")],
) -> None:
    """Takes the state back to an older revision; the code is dropped with it."""
    _say_upgrade(schema.downgrade(settings.resolved(), revision), "downgraded")


def _say_upgrade(done: schema.Upgrade, word: str, clock: str | None = None) -> None:
    if not done.changed and word != "checked (rolled back)":
        word = "unchanged"
    say(
        asdict(done) | ({"clock": clock} if clock else {}),
        f"{word}: {done.before or 'nothing'} -> {done.after or 'nothing'}  {done.seconds:.2f} s"
        + (f"\n{clock}" if clock else ""),
    )


@db_app.command("current")
def db_current() -> None:
    """Prints the revision of the database."""
    with connected() as connection:
        now = schema.state(connection)
    say(
        asdict(now) | {"is_current": now.is_current},
        f"{now.revision or 'none'} (head {now.head};"
        f" code {'current' if now.code_is_current else 'not current'})",
    )


@db_app.command("history")
def db_history() -> None:
    """Lists the revisions this version knows."""
    rows = schema.history()
    say([{"revision": r, "what": d} for r, d in rows], "\n".join(f"{r}  {d}" for r, d in rows))


@db_app.command("check")
def db_check() -> None:
    """Ends with 5 when the database is behind or ahead of this version."""
    with connected() as connection:
        schema.require_current(connection)
        problems = connection.execute("select problem, detail from api.check_facts()").fetchall()
    say(
        {"current": True, "problems": [{"problem": p, "detail": d} for p, d in problems]},
        "\n".join(["database and loader agree", *(f"{p}: {d}" for p, d in problems)]),
    )
    if problems:
        raise typer.Exit(7)


@app.command("describe")
def describe() -> None:
    """Prints the catalogue of everything users touch, from the comments in the database."""
    with ready() as connection:
        typer.echo(catalog.describe(connection), nl=False)


# ------------------------------------------------------------------------------------------ import

Into = Annotated[
    str,
    typer.Option(
        help="auto, by content: stock; norms: norms of natural loss; dataset NAME: a typed table"
        " of any content, the next version of that name (loader/README.md)."
    ),
]
Layout = Annotated[
    str | None, typer.Option(help="balances, movements or statement; default by content.")
]
Mapping = Annotated[
    str | None,
    typer.Option("--map", help="Columns by name: item=Товар,opening=Остаток на начало."),
]
Encoding = Annotated[str | None, typer.Option(help="As cp1251; default UTF-8, or by a BOM.")]
Delimiter = Annotated[str | None, typer.Option(help="One of ; , tab |; default by content.")]
Sheet = Annotated[str | None, typer.Option(help="Sheet of a workbook.")]
DecimalMark = Annotated[
    str | None, typer.Option("--decimal", help="Mark of the fraction, , or .; default by value.")
]
DateFormat = Annotated[
    str | None, typer.Option(help="DMY, MDY, YMD, excel1900 or excel1904, for ambiguous dates.")
]
Zone = Annotated[str | None, typer.Option("--timezone", help="Zone of times that carry none.")]
Dst = Annotated[str, typer.Option(help="Times lost or doubled by clocks: reject, earlier, later.")]
Period = Annotated[
    str | None, typer.Option(help="START..END of balances that carry no dates (both days count).")
]
Warehouse = Annotated[str | None, typer.Option(help="Where the stock is, if the file is silent.")]
Types = Annotated[
    list[str] | None,
    typer.Option("--type", help="Type of a column of a dataset: code=text; repeatable."),
]
Keep = Annotated[
    str | None, typer.Option(help="How long a dataset is kept: 30 days, forever; default 90 days.")
]
ArchiveTo = Annotated[
    str | None,
    typer.Option(
        "--archive",
        help="Keep the raw file, by its hash: a directory or s3://bucket/prefix; default"
        " WEIGHHOUSE_ARCHIVE, else the setting archive.url.",
    ),
]


def _read_options(
    into: str,
    layout: str | None,
    mapping: str | None,
    encoding: str | None,
    delimiter: str | None,
    sheet: str | None,
) -> ReadOptions:
    columns: dict[str, str] = {}
    for pair in (mapping or "").split(","):
        if not pair.strip():
            continue
        name, mark, header = pair.partition("=")
        if not mark:
            raise UsageError(f"--map {pair} is not column=header", hint="as item=Товар")
        columns[name.strip()] = header.strip()
    _one_of("--into", into, ("auto", "norms", "dataset NAME"))
    _one_of("--layout", layout, get_args(FactLayout))
    if into == "norms" and layout is not None:
        raise UsageError(
            f"--into norms has no layout {layout}", hint="leave --layout out: norms have one layout"
        )
    return ReadOptions(
        layout="norms" if into == "norms" else cast(LayoutName | None, layout),
        encoding=encoding,
        delimiter=delimiter,
        sheet=sheet,
        column_map=columns,
    )


def _import_options(
    decimal: str | None,
    date_format: str | None,
    zone: str | None,
    dst: str,
    period: str | None,
    warehouse: str | None,
    on_conflict: str = "skip",
    max_rejects: str | None = None,
    force: bool = False,
) -> ingest.ImportOptions:
    _one_of("--decimal", decimal, (",", "."))
    _one_of("--date-format", date_format, ("DMY", "MDY", "YMD", "excel1900", "excel1904"))
    _one_of("--dst", dst, ("reject", "earlier", "later"))
    _one_of("--on-conflict", on_conflict, ("skip", "update", "fail"))
    start, mark, end = (period or "").partition("..")
    return ingest.ImportOptions(
        decimal=decimal,
        date_format=date_format,
        time_zone=zone,
        dst=dst,
        period_start=start if mark and start else None,
        period_end=(end if mark else start) or None,
        warehouse=warehouse,
        on_conflict=on_conflict,
        max_rejects=max_rejects,
        force=force,
    )


def _one_of(name: str, value: str | None, allowed: tuple[str, ...]) -> None:
    if value is not None and value not in allowed:
        raise UsageError(f"{name} {value} is not known", hint=f"use one of {', '.join(allowed)}")


@app.command("import")
def import_command(
    files: Annotated[list[str], typer.Argument(help="Files, .gz and .xlsx too; - is stdin.")],
    into: Into = "auto",
    layout: Layout = None,
    mapping: Mapping = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    sheet: Sheet = None,
    decimal: DecimalMark = None,
    date_format: DateFormat = None,
    timezone: Zone = None,
    dst: Dst = "reject",
    period: Period = None,
    warehouse: Warehouse = None,
    on_conflict: Annotated[
        str, typer.Option(help="Known key, other quantity: skip, update or fail.")
    ] = "skip",
    max_rejects: Annotated[
        str | None, typer.Option(help="Refuse a file with more: a number, or 5%.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge and roll back.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="End with 1 on any reject.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Refuse, not skip, what is known.")
    ] = False,
    types: Types = None,
    keep: Keep = None,
    archive_to: ArchiveTo = None,
) -> None:
    """Brings files in: whole or not at all, each once, every row accounted for.

    Balances, movements (one row a movement) and batch statements are told apart by their content;
    with --into norms the files hold norms of natural loss. A file that cannot be loaded does not
    keep the others from being loaded. With --into dataset NAME a file of any content becomes the
    next version of a typed table.
    """
    if into.startswith(INTO_DATASET):
        _upload(
            files,
            into,
            (layout, mapping, period, warehouse, max_rejects),
            ReadOptions(encoding=encoding, delimiter=delimiter, sheet=sheet),
            _upload_options(decimal, date_format, timezone, types, keep),
            archive_to,
            dry_run=dry_run,
        )
        return
    if types or keep:
        raise UsageError("--type and --keep are for datasets", hint="add --into dataset NAME")
    _import_all(
        files,
        _read_options(into, layout, mapping, encoding, delimiter, sheet),
        _import_options(
            decimal, date_format, timezone, dst, period, warehouse, on_conflict, max_rejects, force
        ),
        dry_run=dry_run,
        strict=strict,
        archive_url=archive_to,
    )


@app.command("check")
def check_command(
    files: Annotated[list[str], typer.Argument(help="Files, .gz and .xlsx too; - is stdin.")],
    into: Into = "auto",
    layout: Layout = None,
    mapping: Mapping = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    sheet: Sheet = None,
    decimal: DecimalMark = None,
    date_format: DateFormat = None,
    timezone: Zone = None,
    dst: Dst = "reject",
    period: Period = None,
    warehouse: Warehouse = None,
    types: Types = None,
) -> None:
    """Judges files without loading them; prints the first problems of each."""
    if into.startswith(INTO_DATASET):
        _upload(
            files,
            into,
            (layout, mapping, period, warehouse),
            ReadOptions(encoding=encoding, delimiter=delimiter, sheet=sheet),
            _upload_options(decimal, date_format, timezone, types, None),
            None,
            dry_run=True,
        )
        return
    _import_all(
        files,
        _read_options(into, layout, mapping, encoding, delimiter, sheet),
        _import_options(decimal, date_format, timezone, dst, period, warehouse),
        dry_run=True,
        strict=True,
    )


# "--into dataset NAME" is one option: main() puts the two words together.
INTO_DATASET = "dataset:"


def _joined(words: list[str]) -> list[str]:
    """Make one word of the two that follow --into where the first is dataset."""
    joined: list[str] = []
    left = iter(words)
    for word in left:
        if word == "--":
            return [*joined, word, *left]
        is_dataset = word == "--into=dataset" or (word == "dataset" and joined[-1:] == ["--into"])
        if not is_dataset:
            joined.append(word)
            continue
        name = next(left, None)
        if name is None or name.startswith("-"):
            raise UsageError("--into dataset names no dataset", hint="as --into dataset churn")
        if word == "dataset":
            joined.pop()
        joined.append(f"--into={INTO_DATASET}{name}")
    return joined


def _upload_options(
    decimal: str | None,
    date_format: str | None,
    zone: str | None,
    types: list[str] | None,
    keep: str | None,
) -> datasets.UploadOptions:
    _one_of("--decimal", decimal, (",", "."))
    _one_of("--date-format", date_format, ("DMY", "MDY", "YMD"))
    given: dict[str, str] = {}
    for pair in types or []:
        column, mark, kind = pair.rpartition("=")
        if not mark or not column:
            raise UsageError(f"--type {pair} is not column=type", hint="as code=text")
        given[column] = kind
    return datasets.UploadOptions(
        decimal=decimal, date_format=date_format, time_zone=zone, types=given, keep=keep
    )


def _upload(
    files: list[str],
    into: str,
    meaningless: tuple[str | None, ...],
    read_options: ReadOptions,
    options: datasets.UploadOptions,
    archive_url: str | None,
    *,
    dry_run: bool,
) -> None:
    if len(files) != 1:
        raise UsageError("one file makes one version", hint="import the files one by one")
    if any(meaningless):
        raise UsageError("options of stock files mean nothing for a dataset", hint="leave them out")
    dsn = settings.resolved()
    if not dry_run:
        options = replace(options, archive=_archive(dsn, archive_url))
    line = ProgressLine()
    try:
        result = datasets.upload(
            dsn,
            files[0],
            into.removeprefix(INTO_DATASET),
            read_options,
            options,
            dry_run=dry_run,
            progress=line if settings.progress else ingest.no_progress,
        )
    finally:
        if settings.progress:
            line.end()
    say(asdict(result), lambda: datasets.summary(result))


def _archive(dsn: str, given: str | None) -> str | None:
    return archive.chosen(given, ingest.archive_setting(dsn))


def _import_all(
    files: list[str],
    read_options: ReadOptions,
    import_options: ingest.ImportOptions,
    *,
    dry_run: bool,
    strict: bool,
    archive_url: str | None = None,
) -> None:
    dsn = settings.resolved()
    if not dry_run:
        import_options = replace(import_options, archive=_archive(dsn, archive_url))
    results = []
    failures: list[LoaderError] = []
    for path in files:
        line = ProgressLine()
        try:
            result = ingest.import_file(
                dsn,
                path,
                read_options,
                import_options,
                dry_run=dry_run,
                progress=line if settings.progress else ingest.no_progress,
            )
        except LoaderError as error:
            line.end() if settings.progress else None
            if len(files) == 1 or error.exit_code not in (2, 4):
                raise
            failures.append(error)
            _print_error(error)
            continue
        if settings.progress:
            line.end()
        results.append(result)
        if not settings.json:
            typer.echo(_import_line(result))
            for problem in result.problems if dry_run else result.problems[:3]:
                note(_problem_line(result.file, problem))
    if settings.json:
        objects = [asdict(result) for result in results]
        typer.echo(
            json.dumps(
                objects[0] if len(files) == 1 and objects else objects,
                default=plain,
                ensure_ascii=False,
            )
        )
    if failures:
        raise typer.Exit(failures[0].exit_code)
    if strict and any(result.rejected for result in results):
        raise typer.Exit(SOME_FAILED)


def _import_line(result: ingest.ImportResult) -> str:
    head = result.file
    if result.status == "loaded":
        head += f"  import {result.import_id}"
    elif result.status == "already imported":
        return f"{head}  {result.note} (import {result.import_id})"
    else:
        head += f"  {result.status}"
    text = (
        f"{head}  read {spaced(result.read)} = loaded {spaced(result.loaded)}"
        f" + duplicate {spaced(result.duplicate)} + rejected {spaced(result.rejected)}"
        f"  {result.seconds:.1f} s"
    )
    if result.rejected and result.status == "loaded":
        text += f"  (loader rejects show {result.import_id})"
    return text


def _problem_line(name: str, problem: dict[str, Any]) -> str:
    column = f" ({problem['column']})" if problem["column"] else ""
    raw = (problem["raw_text"] or "").replace("\n", "\\n")
    return f"  {name}:{problem['line']}{column}: {problem['description']}: {raw[:100]}"


@imports_app.command("list")
def imports_list(
    undone: Annotated[bool, typer.Option("--undone", help="Also those taken back.")] = False,
) -> None:
    """Lists imported files, newest first."""
    with ready() as connection:
        rows = ingest.list_imports(connection, undone=undone)
    names = [
        "id",
        "file",
        "layout",
        "imported",
        "read",
        "loaded",
        "duplicate",
        "rejected",
        "undone",
    ]
    say([dict(zip(names, row, strict=True)) for row in rows], lambda: table(names, rows))


@imports_app.command("show")
def imports_show(import_id: Annotated[int, typer.Argument(help="Number of the import.")]) -> None:
    """Shows what the ledger knows of one file."""
    with ready() as connection:
        row = ingest.show_import(connection, import_id)
    say(row, lambda: "\n".join(f"{k}: {v}" for k, v in row.items() if v is not None))


@imports_app.command("fetch")
def imports_fetch(
    wanted: Annotated[str, typer.Argument(help="Number of the import, or its hash (12 or more).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write the file.")],
) -> None:
    """Brings the raw file of an import back from the archive, verified by its hash."""
    with ready() as connection:
        row = ingest.archived(connection, wanted)
    if output.exists() and not settings.yes:
        raise UsageError(f"{output} exists", hint="name another file, or add --yes")
    size = archive.fetch(row["archive_url"], row["file_hash"], output)
    say(
        row | {"output": str(output), "size_bytes": size},
        f"wrote {row['file_name']} ({size} bytes, SHA-256 verified) to {output}",
    )


@imports_app.command("undo")
def imports_undo(import_id: Annotated[int, typer.Argument(help="Number of the import.")]) -> None:
    """Takes the facts of one file back; the same bytes may then be imported again."""
    done = ingest.undo_import(settings.resolved(), import_id)
    text = f"took back {done['movements']} movements and {done['balances']} balances"
    if done["norms"]:
        text = f"took back {done['norms']} norms"
    if done["shared_files"]:
        text += (
            f"\n  these files repeated rows of others; import them again if they stand for"
            f" themselves: {done['shared_files']}"
        )
    say(done, text)


@rejects_app.command("show")
def rejects_show(
    import_id: Annotated[int, typer.Argument(help="Number of the import.")],
    most: Annotated[int, typer.Option(help="How many at most.")] = 50,
) -> None:
    """Shows rejected rows with file, line, reason and raw text."""
    with ready() as connection:
        rows = ingest.rejects(connection, import_id)

    def text() -> str:
        lines = [_problem_line(row["file"], row) for row in rows[:most]]
        if len(rows) > most:
            lines.append(f"  … and {len(rows) - most} more (loader rejects export {import_id})")
        return "\n".join(lines) or "no row was rejected"

    say(rows[:most] if settings.json else rows, text)


@rejects_app.command("export")
def rejects_export(
    import_id: Annotated[int, typer.Argument(help="Number of the import.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File; default stdout.")
    ] = None,
) -> None:
    """Writes rejected rows as CSV: to mend the raw text and import it again."""
    with ready() as connection:
        rows = ingest.rejects(connection, import_id)
    names = ["file", "line", "column", "reason", "description", "raw_text"]
    with open(output, "w", newline="", encoding="utf-8") if output else _stdout() as stream:
        writer = csv.writer(stream)
        writer.writerow(names)
        for row in rows:
            writer.writerow([_harmless(row[name]) for name in names])
    if output:
        note(f"wrote {len(rows)} rows to {output}")


@contextmanager
def _stdout() -> Iterator[Any]:
    yield sys.stdout


def _harmless(value: Any) -> Any:
    """Keep a spreadsheet from running what a file brought as text."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value


@rejects_app.command("retry")
def rejects_retry(
    import_id: Annotated[int, typer.Argument(help="Number of the import.")],
    decimal: DecimalMark = None,
    date_format: DateFormat = None,
    timezone: Zone = None,
    dst: Dst = "reject",
    on_conflict: Annotated[
        str, typer.Option(help="Known key, other quantity: skip, update or fail.")
    ] = "skip",
) -> None:
    """Judges rejected rows again, after a mapping, a setting or an option was mended."""
    result = ingest.retry_rejects(
        settings.resolved(),
        import_id,
        _import_options(decimal, date_format, timezone, dst, None, None, on_conflict),
    )
    say(asdict(result), _import_line(result))


# --------------------------------------------------------------------------------------- the works


@app.command("account")
def account() -> None:
    """Derives inventory periods from what was imported: FIFO, shortages, flags, confidence."""
    with ready() as connection:
        row = connection.execute(
            "select period_count, changed_count, removed_count, review_count"
            " from api.account_stock()"
        ).fetchone()
    assert row is not None
    names = ("periods", "changed", "removed", "in_review")
    say(
        dict(zip(names, row, strict=True)),
        f"periods {row[0]}, changed {row[1]}, removed {row[2]}, in review {row[3]}",
    )


@app.command("fit")
def fit(
    family: Annotated[
        str | None, typer.Option(help="Curve family; default the setting fit.family.")
    ] = None,
) -> None:
    """Accounts for the stock, then fits the shrinkage curve of every product."""
    account()
    with ready() as connection:
        row = connection.execute(
            "select version, status, item_count, fitted_count, pooled_count, type_curve_count,"
            " failed_count, duration_seconds from api.fit_shrinkage(%s)",
            (json.dumps({"family": family} if family else {}),),
        ).fetchone()
    assert row is not None
    names = ("version", "status", "items", "fitted", "pooled", "type_curve", "failed", "seconds")
    say(
        dict(zip(names, row, strict=True)),
        f"shrinkage version {row[0]} {row[1]}: {row[2]} products = fitted {row[3]}"
        f" + pooled {row[4]} + type curve {row[5]} + failed {row[6]}  {row[7]:.1f} s",
    )


@app.command("report")
def report_command() -> None:
    """Prints the first look: stock, loss by type, coefficients, unexplained losses."""
    with ready() as connection:
        sections = report.first_look(connection)
    say(
        {
            section.name: [dict(zip(section.columns, row, strict=True)) for row in section.rows]
            for section in sections
        },
        lambda: "\n\n".join(
            table(list(section.columns), section.rows, title=section.title) for section in sections
        ),
    )


# -------------------------------------------------------------------------------------------- main


def _print_error(error: LoaderError) -> None:
    if settings.json:
        typer.echo(
            json.dumps(
                {
                    "error": str(error),
                    "detail": error.detail,
                    "hint": error.hint,
                    "exit": error.exit_code,
                },
                ensure_ascii=False,
            ),
            err=True,
        )
        return
    typer.echo(f"loader: error: {error}", err=True)
    if error.detail:
        typer.echo(f"  detail: {error.detail}", err=True)
    if error.hint:
        typer.echo(f"  hint: {error.hint}", err=True)


def _interrupted(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def main() -> None:
    """Run the command line; every way to end has its exit code."""
    signal.signal(signal.SIGTERM, _interrupted)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # LANG=C must not turn a product's name into a traceback.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        code = app(args=_joined(sys.argv[1:]), standalone_mode=False)
        sys.stdout.flush()
        raise SystemExit(code if isinstance(code, int) else OK)
    except LoaderError as error:
        _print_error(error)
        if settings.verbose:
            traceback.print_exc()
        raise SystemExit(error.exit_code) from None
    except (typer.Abort, KeyboardInterrupt):
        typer.echo("loader: interrupted; what was not finished was rolled back", err=True)
        raise SystemExit(130) from None
    except BrokenPipeError:
        # The reader of our output has gone (| head): not our failure.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(OK) from None
    except Exception as error:
        # Words the command line cannot take: typer carries a click of its own, privately.
        show = getattr(error, "show", None)
        if callable(show) and hasattr(error, "exit_code"):
            show()
            raise SystemExit(2) from None
        _our_bug(error)


def _our_bug(error: Exception) -> NoReturn:
    with tempfile.NamedTemporaryFile(
        "w", prefix="loader-", suffix=".log", delete=False, encoding="utf-8"
    ) as log:
        traceback.print_exc(file=log)
    typer.echo(
        f"loader: error: {type(error).__name__}: {error}\n  detail: this is a defect; the traceback"
        f" is in {log.name}",
        err=True,
    )
    if settings.verbose:
        traceback.print_exc()
    raise SystemExit(BUG)
