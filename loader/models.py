"""Commands of the models and of what is stored of them: words in, one function of the database."""

from __future__ import annotations

import enum
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer
from psycopg import sql
from psycopg.rows import dict_row

from loader import database, schema
from loader.errors import UsageError
from loader.terminal import note, ready, say, settings, table

models_app = typer.Typer(
    help="Models of any relation: fit, forecast, deploy.", no_args_is_help=True
)
cache_app = typer.Typer(help="Fitted models that are stored.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of the model.")]
Reason = Annotated[str | None, typer.Option(help="Why; kept in the audit trail.")]
Folds = Annotated[int, typer.Option(help="Earlier points to forecast from.")]
Horizon = Annotated[int | None, typer.Option(help="Steps ahead; default that of the model.")]


def call(function: str, **arguments: Any) -> list[dict[str, Any]]:
    """Call a function of api with named arguments; None stands for its default."""
    given = {name: value for name, value in arguments.items() if value is not None}
    query = sql.SQL("select * from api.{}({})").format(
        sql.Identifier(function),
        sql.SQL(", ").join(
            sql.SQL("{} => {}").format(sql.Identifier(name), sql.Placeholder(name))
            for name in given
        ),
    )
    with ready() as connection, connection.cursor(row_factory=dict_row) as cursor:
        # Days of a model begin at midnight of its zone: that is how they are printed.
        cursor.execute(
            "select set_config('timezone', d.grid ->> 'zone', true) from core.model_definition as d"
            " where d.name = %s and d.grid is not null",
            (given.get("model"),),
        )
        return cursor.execute(query, given).fetchall()


def show(rows: list[dict[str, Any]], *, empty: str = "nothing") -> None:
    """Print rows as a table, or as JSON."""
    say(
        rows,
        lambda: table(list(rows[0]), [list(row.values()) for row in rows]) if rows else empty,
    )


@models_app.command("list")
def models_list() -> None:
    """Lists the models with the version in force."""
    with ready() as connection, connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            "select d.name as model, d.kind, coalesce(d.source, '') as source,"
            " v.version as deployed, (select max(x.version) from core.model_versions as x"
            " where x.model = d.name) as newest,"
            " v.series_count as series, v.window_end as data_until,"
            " (v.metrics ->> 'mape')::float8 as mape"
            " from core.model_definition as d left join core.model_versions as v"
            " on v.model = d.name and v.status = 'deployed' order by d.name"
        ).fetchall()
    show(rows)


@models_app.command("show")
def models_show(model: Name) -> None:
    """Shows a model: what it reads, its versions, its last runs."""
    with ready() as connection, connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(
            "select (d).* from internal.find_model(%s) as d", (model,)
        ).fetchone()
        versions = cursor.execute(
            "select version, status, created_date, series_count, window_end, mape, mase,"
            " mase_seasonal_naive, coverage_80, coverage_95 from bi.models where name = %s"
            " order by version desc limit 10",
            (model,),
        ).fetchall()
        runs = cursor.execute(
            "select run_id, task, status, time, duration_seconds, series_count, fitted_count,"
            " cached_count, updated_count, fell_back_count, failed_count from bi.training_run"
            " where model = %s order by run_id desc limit 10",
            (model,),
        ).fetchall()
    assert found is not None

    def text() -> str:
        parts = ["\n".join(f"{k}: {v}" for k, v in found.items() if v not in (None, [], {}))]
        for title, rows in (("Versions", versions), ("Runs", runs)):
            if rows:
                values = [list(row.values()) for row in rows]
                parts.append(table(list(rows[0]), values, title=title))
        return "\n\n".join(parts)

    say(found | {"versions": versions, "runs": runs}, text)


@models_app.command("create")
def models_create(
    model: Name,
    source: Annotated[str, typer.Option(help="Relation, as schema.name, or a query.")],
    time_column: Annotated[
        str | None, typer.Option("--time", help="Column of the time; none: a model of rows.")
    ] = None,
    value_column: Annotated[
        str | None,
        typer.Option("--value", "--target", help="Column of the value, or of the target of rows."),
    ] = None,
    features: Annotated[
        list[str] | None,
        typer.Option("--feature", help="Column it learns from; repeatable; rows: default all."),
    ] = None,
    keys: Annotated[
        list[str] | None, typer.Option("--key", help="Column that tells series apart; repeatable.")
    ] = None,
    kind: Annotated[str, typer.Option(help="auto, ets, theta, arima, …")] = "auto",
    options: Annotated[
        str, typer.Option(help='JSON, as \'{"step": "1 day", "aggregate": "sum"}\'.')
    ] = "{}",
    description: Annotated[str | None, typer.Option(help="What it is for.")] = None,
) -> None:
    """Creates a model of the series, or the rows, of a relation; nothing is fitted yet."""
    try:
        parsed = json.loads(options)
    except ValueError as error:
        raise UsageError(
            f"--options is not JSON: {error}", hint="""as '{"step": "1 day"}'"""
        ) from None
    rows = call(
        "create_model",
        name=model,
        source=source,
        time_column=time_column,
        value_column=value_column,
        key_columns=keys or [],
        feature_columns=features or [],
        kind=kind,
        options=json.dumps(parsed),
        description=description,
    )
    row = rows[0]
    what = f"{row['series_count']} series, {row['row_count']} rows"
    what += f", step {row['step'] or 'not known yet'}"
    if row["series_count"] is None:
        what = f"{row['row_count']} rows"
    say(row, f"{row['model']}: {what}  (loader models fit {row['model']})")


@models_app.command("predict")
def models_predict(
    model: Name,
    row: Annotated[
        str | None, typer.Option(help="Features of one row, as weight=1.2,kind=hake.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Relation, as schema.name, or a query: all its rows.")
    ] = None,
    version: Annotated[int | None, typer.Option(help="Version; default the deployed one.")] = None,
) -> None:
    """Predicts one row, or all rows of a relation, with a model of rows."""
    if (row is None) == (source is None):
        raise UsageError("name either --row or --source", hint="--row weight=1.2,kind=hake")
    if source is not None:
        found = call("predict_rows", model=model, source=source, version=version)
    else:
        pairs = [part.partition("=") for part in (row or "").split(",") if part.strip()]
        if any(not sign for _, sign, _ in pairs):
            raise UsageError(f"--row {row} is no list of features", hint="weight=1.2,kind=hake")
        features = {name.strip(): text.strip() or None for name, _, text in pairs}
        found = call("predict", model=model, features=json.dumps(features), version=version)

    def line(given: dict[str, Any]) -> str:
        sure = given["probability"]
        return "  ".join(
            str(part)
            for part in (
                " / ".join(given["key"]) if given.get("key") else given.get("row_number"),
                given["prediction"],
                None if sure is None else f"{100 * sure:.1f} %",
                given["note"],
            )
            if part is not None
        )

    say(found, lambda: "\n".join(map(line, found)) or "no rows")


@contextmanager
def _progress(model: str) -> Iterator[None]:
    """Print how far the fit of a model is, as any other session can see it."""
    done = threading.Event()

    def watch() -> None:
        shown = time.monotonic()
        with database.connect(settings.resolved(), autocommit=True) as connection:
            while not done.wait(1):
                row = connection.execute(
                    "select done_count, series_count from bi.fit_progress where model = %s",
                    (model,),
                ).fetchone()
                if row is not None and time.monotonic() - shown >= 5:
                    shown = time.monotonic()
                    note(f"{model}  {row[0]}/{row[1]} series")

    watcher = threading.Thread(target=watch, daemon=True)
    if settings.progress:
        watcher.start()
    try:
        yield
    finally:
        done.set()
        if settings.progress:
            watcher.join(5)


def _fit(model: str, *, refit: bool, deploy: bool | None) -> dict[str, Any]:
    with (
        database.explaining(),
        database.connect(settings.resolved(), autocommit=True) as connection,
    ):
        schema.require_current(connection)
        # A server that is to look for us stops soon after we are gone.
        connection.execute("set client_connection_check_interval = '1s'")
        with _progress(model):
            connection.execute("call api.run_fit(%s, %s, %s)", (model, refit, deploy))
        with connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(
                "select run_id, r.model, r.version, v.status, r.series_count, fitted_count,"
                " cached_count, updated_count, fell_back_count, failed_count,"
                " r.duration_seconds from bi.training_run as r left join bi.models as v"
                " on v.name = r.model and v.version = r.version"
                " where r.model = %s and task = 'fit' order by run_id desc limit 1",
                (model,),
            ).fetchone()
    assert row is not None
    return row


@models_app.command("fit")
def models_fit(
    model: Name,
    refit: Annotated[
        bool, typer.Option("--refit", help="Also what was fitted on the same data before.")
    ] = False,
    deploy: Annotated[
        bool | None,
        typer.Option("--deploy/--no-deploy", help="Default: when nothing is deployed yet."),
    ] = None,
) -> None:
    """Fits all series of a model and issues their forecasts."""
    row = _fit(model, refit=refit, deploy=deploy)
    say(row, _fit_line(row))


def _fit_line(row: dict[str, Any]) -> str:
    return (
        f"{row['model']} version {row['version']} {row['status']}: {row['series_count']} series"
        f" = fitted {row['fitted_count']} + cached {row['cached_count']}"
        f" + updated {row['updated_count']} + fell back {row['fell_back_count']}"
        f" + failed {row['failed_count']}  {row['duration_seconds']:.1f} s"
    )


RETRAINED = ["model", "decision", "decision_reason", "old_version", "new_version", "metric"]
RETRAINED += ["old_score", "new_score", "baseline_score", "improvement_percent", "window_from"]
RETRAINED += ["window_to", "forecast_count", "seconds", "error"]


def _retrain(model: str, reason: str | None) -> dict[str, Any]:
    with database.connect(settings.resolved(), autocommit=True) as connection:
        # A server that is to look for us stops soon after we are gone.
        connection.execute("set client_connection_check_interval = '1s'")
        with _progress(model):
            connection.execute("call api.run_retraining(%s, %s)", (model, reason))
        with connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(
                "select r.*, r.duration_seconds as seconds from bi.retraining as r"
                " where r.model = %s order by r.retraining_id desc limit 1",
                (model,),
            ).fetchone()
    assert row is not None
    return {name: row[name] for name in RETRAINED}


def _retrain_due() -> list[dict[str, Any]]:
    """Retrain what has a reason, each model in a transaction of its own."""
    with ready() as connection:
        due = connection.execute("select model, reason from internal.due_models()").fetchall()
    rows = []
    for model, reason in due:
        try:
            rows.append(_retrain(model, reason))
        except psycopg.errors.LockNotAvailable as error:
            found = {"model": model, "decision": "busy", "error": str(error).splitlines()[0]}
            rows.append(dict.fromkeys(RETRAINED) | found)
    return rows


def _retrained_line(row: dict[str, Any]) -> str:
    line = f"{row['model']} {row['decision']}: {row['error'] or row['decision_reason']}"
    if row["old_score"] is not None:
        line += (
            f"  {row['metric']} {row['old_score']:.2f} -> {row['new_score']:.2f}"
            f" over {row['forecast_count']} forecasts"
        )
    if row["baseline_score"] is not None:
        line += f", seasonal naive {row['baseline_score']:.2f}"
    if row["seconds"] is not None:
        line += f"  {row['seconds']:.1f} s"
    return line


@models_app.command("retrain")
def models_retrain(
    model: Annotated[str | None, typer.Argument(help="Name of the model.")] = None,
    due: Annotated[
        bool, typer.Option("--due", help="All models that have a reason (bi.retraining_due).")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only say what it would decide, and how long it takes."),
    ] = False,
    reason: Reason = None,
) -> None:
    """Fits a challenger, and puts it in force if it beats the version in force on the same data.

    Exit code 1 when a challenger could not be fitted (the version in force serves on), 6 when
    another session fits or retrains the model.
    """
    if (model is None) != due:
        raise UsageError("name a model, or --due", hint="loader models retrain sales")
    if due and (dry_run or reason):
        raise UsageError(
            "--due goes with neither --dry-run nor --reason", hint="name one model for these"
        )
    with database.explaining():
        if model is None:
            rows = _retrain_due()
        elif dry_run:
            rows = [
                dict.fromkeys(RETRAINED) | {"model": model} | row
                for row in call("retrain_model", model=model, reason=reason, dry_run=True)
            ]
        else:
            with ready():
                pass
            rows = [_retrain(model, reason)]
    say(
        rows if due else rows[0],
        lambda: "\n".join(map(_retrained_line, rows)) or "no model is due",
    )
    if any(row["decision"] in ("failed", "busy") for row in rows):
        raise typer.Exit(1)


@models_app.command("forecast")
def models_forecast(
    model: Name,
    series: Annotated[str | None, typer.Option(help="One series; default all.")] = None,
    horizon: Horizon = None,
    level: Annotated[float, typer.Option(help="Coverage of the interval.")] = 0.95,
    version: Annotated[int | None, typer.Option(help="Default: the deployed one.")] = None,
    as_of: Annotated[
        str | None, typer.Option(help="What would have been said at that time.")
    ] = None,
) -> None:
    """Prints the forecast of the deployed version, or of another, or of an earlier day."""
    show(
        call(
            "forecast",
            model=model,
            series=series,
            horizon=horizon,
            level=level,
            version=version,
            as_of=as_of,
        )
    )


@models_app.command("evaluate")
def models_evaluate(
    model: Name,
    folds: Folds = 3,
    horizon: Horizon = None,
    gap: Annotated[int, typer.Option(help="Steps left out before each forecast.")] = 0,
    window: Annotated[int | None, typer.Option(help="Steps learnt from; default all.")] = None,
) -> None:
    """Evaluates a model by rolling origin, beside naive forecasts."""
    rows = call("evaluate_model", model=model, folds=folds, horizon=horizon, gap=gap, window=window)
    methods = ["model", "naive", "seasonal_naive"]
    found = {(row["metric"], row["method"]): row for row in rows}
    metrics = list(dict.fromkeys(row["metric"] for row in rows))

    def text() -> str:
        lines = []
        for metric in metrics:
            cells = [found.get((metric, method)) for method in methods]
            values = [cell and cell["value"] for cell in cells]
            lines.append([metric, *values, cells[0] and cells[0]["row_count"]])
        return table(["metric", *methods, "forecasts"], lines)

    say(rows, text)


@models_app.command("deploy")
def models_deploy(
    model: Name,
    version: Annotated[int, typer.Argument(help="The version.")],
    reason: Reason = None,
) -> None:
    """Puts a version in force."""
    show(call("deploy_version", model=model, version=version, reason=reason))


@models_app.command("rollback")
def models_rollback(model: Name, reason: Reason = None) -> None:
    """Puts the version in force that the deployed one replaced."""
    show(call("rollback_model", model=model, reason=reason))


@models_app.command("compare")
def models_compare(
    model: Name,
    version_a: Annotated[int, typer.Argument(help="One version.")],
    version_b: Annotated[int, typer.Argument(help="The other.")],
    folds: Folds = 3,
) -> None:
    """Compares two versions on the same earlier points, beside naive forecasts."""
    show(
        call("compare_versions", model=model, version_a=version_a, version_b=version_b, folds=folds)
    )


class ExportFormat(enum.StrEnum):
    """How a model leaves the database."""

    JSON = "json"
    NATIVE = "native"


@models_app.command("export")
def models_export(
    model: Name,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write; - = the screen.")],
    version: Annotated[int | None, typer.Option(help="Default: the deployed one.")] = None,
    format: Annotated[
        ExportFormat,
        typer.Option(help="json: everything; native: what the library that learnt it can load."),
    ] = ExportFormat.JSON,
) -> None:
    """Writes a version of a model to a file.

    native is LightGBM's model text or XGBoost's UBJSON; other kinds have no such format, and JSON
    holds all of them.
    """
    if format is ExportFormat.NATIVE:
        (row,) = call("export_native", model=model, version=version)
        content, what = bytes(row["content"]), row["native_format"]
    else:
        (row,) = call("export_model", model=model, version=version)
        text = json.dumps(row["export_model"], ensure_ascii=False, indent=1)
        content, what = (text + "\n").encode(), "json"
    if str(output) == "-":
        sys.stdout.buffer.write(content)
        return
    try:
        # Whole or not at all: who loads the file must not find half of it.
        aside = output.with_name(output.name + ".part")
        aside.write_bytes(content)
        aside.replace(output)
    except OSError as error:
        raise UsageError(
            f"cannot write {output}: {error.strerror}", hint="give a file in a directory that is"
        ) from None
    say(
        {"file": str(output), "format": what, "bytes": len(content)},
        f"{output}: {len(content)} bytes, {what}",
    )


@models_app.command("actuals")
def models_actuals(model: Name) -> None:
    """Joins what happened since to the forecasts that were issued."""
    show(call("record_actuals", model=model))


@models_app.command("drop")
def models_drop(model: Name) -> None:
    """Removes a model with its versions, runs and forecasts."""
    if not settings.yes and not typer.confirm(f"remove model {model} and its forecasts?", err=True):
        raise typer.Abort
    show(call("drop_model", model=model))


@cache_app.command("status")
def cache_status() -> None:
    """Shows what is stored, by model: how much, how old, how often it spared a fit."""
    with ready() as connection, connection.cursor(row_factory=dict_row) as cursor:
        show(cursor.execute("select * from bi.cache order by model, kind").fetchall())


@cache_app.command("warm")
def cache_warm(
    model: Annotated[str | None, typer.Option(help="One model; default all.")] = None,
) -> None:
    """Fits what is stale or new, so that nobody waits for it later."""
    if model is None:
        with ready() as connection:
            names = [
                row[0]
                for row in connection.execute(
                    "select name from core.model_definition where source is not null order by name"
                )
            ]
    else:
        names = [model]
    rows = [_fit(name, refit=False, deploy=None) for name in names]
    say(rows, lambda: "\n".join(map(_fit_line, rows)) or "there is no model")


@cache_app.command("prune")
def cache_prune(
    unused: Annotated[str, typer.Option(help="How long it was not used.")] = "30 days",
    keep: Annotated[
        int | None,
        typer.Option(
            help="Newest versions of each model to keep; default setting cache.max_artifacts."
        ),
    ] = None,
) -> None:
    """Removes stored fits that no kept version needs."""
    show(call("prune_cache", unused=unused, keep_versions=keep), empty="nothing to remove")


@cache_app.command("invalidate")
def cache_invalidate(
    model: Annotated[str | None, typer.Option(help="One model; default all.")] = None,
    reason: Reason = None,
) -> None:
    """Declares stored fits void: the next fit computes them anew."""
    (row,) = call("invalidate_cache", model=model, reason=reason)
    say({"invalidated": row["invalidate_cache"]}, f"invalidated {row['invalidate_cache']}")


@cache_app.command("verify")
def cache_verify(
    adopt: Annotated[
        bool, typer.Option("--adopt", help="First sign all as they are: after a restore only.")
    ] = False,
) -> None:
    """Checks the signature of every stored fit; exit code 7 when one is not right."""
    rows = call("verify_cache", adopt=adopt)
    show(rows, empty="all signatures are right")
    if rows:
        raise typer.Exit(7)
