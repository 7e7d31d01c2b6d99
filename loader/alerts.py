"""Commands of alerts and of those who are told of them."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from psycopg.rows import dict_row

from loader import database, schema, webhooks
from loader.errors import UsageError
from loader.models import call, show
from loader.terminal import ready, say, settings

alerts_app = typer.Typer(
    help="What is wrong: raised once, acknowledged, resolved.", no_args_is_help=True
)
webhooks_app = typer.Typer(help="Who is told of alerts.", no_args_is_help=True)

Ids = Annotated[list[int], typer.Argument(help="Numbers of alerts (loader alerts list).")]
Notes = Annotated[str | None, typer.Option(help="What to remember about it.")]
Severity = Annotated[str | None, typer.Option(help="warning or critical.")]
Model = Annotated[str | None, typer.Option(help="One model.")]


def _read(query: str, *parameters: object) -> list[dict[str, Any]]:
    with ready() as connection, connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, parameters).fetchall()


@alerts_app.command("list")
def alerts_list(
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    severity: Severity = None,
    model: Model = None,
    rule: Annotated[str | None, typer.Option(help="One rule.")] = None,
    most: Annotated[int, typer.Option(help="How many at most, the newest.")] = 50,
) -> None:
    """Lists what is wrong now, newest first."""
    rows = _read(
        "select a.time, a.alert_id as id, a.severity, a.status, a.rule, a.message, a.open_hours,"
        " a.acknowledged_by, a.notes from bi.alert as a where (%s or a.status <> 'resolved')"
        " and a.severity = coalesce(internal.one_of(%s, '{warning,critical}', 'severity'),"
        " a.severity) and (%s::text is null or a.model = %s) and (%s::text is null or a.rule = %s)"
        " order by a.time desc, a.alert_id desc limit %s",
        everything,
        severity,
        model,
        model,
        rule,
        rule,
        most,
    )
    show(rows, empty="nothing is wrong")


@alerts_app.command("raise")
def alerts_raise(
    on_day: Annotated[
        str | None, typer.Option(help="Judge accuracy by the days up to this one.")
    ] = None,
) -> None:
    """Looks at all rules now: raises what is new, resolves what is over."""
    (row,) = call("raise_alerts", on_day=on_day)
    say(
        row,
        f"raised {row['raised_count']}, seen again {row['seen_count']},"
        f" resolved {row['resolved_count']}, open {row['open_count']}",
    )


@alerts_app.command("acknowledge")
def alerts_acknowledge(ids: Ids, notes: Notes = None) -> None:
    """Notes that somebody knows; they stay open until they are over."""
    (row,) = call("acknowledge_alerts", ids=ids, notes=notes)
    say(row, f"acknowledged {row['acknowledged_count']}, already {row['already_count']}")


@alerts_app.command("resolve")
def alerts_resolve(ids: Ids, notes: Notes = None) -> None:
    """Notes that they are over; what is still broken is raised again."""
    (row,) = call("resolve_alerts", ids=ids, notes=notes)
    say(row, f"resolved {row['resolved_count']}, already {row['already_count']}")


@alerts_app.command("rules")
def alerts_rules() -> None:
    """Lists what is worth an alert."""
    show(
        _read(
            "select rule, model, severity, comparison, threshold, is_active, description"
            " from bi.alert_rule order by about, measure, rule, model nulls first"
        )
    )


@alerts_app.command("set")
def alerts_set(
    rule: Annotated[str, typer.Argument(help="Name of the rule.")],
    threshold: Annotated[float | None, typer.Option(help="In the unit of the rule.")] = None,
    on: Annotated[bool | None, typer.Option("--on/--off", help="Whether to look at it.")] = None,
    model: Annotated[str | None, typer.Option(help="For one model only.")] = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="For the model what it is for all.")
    ] = False,
) -> None:
    """Changes a rule, for all or for one model."""
    if reset:
        if model is None or threshold is not None or on is not None:
            raise UsageError("--reset goes with --model and nothing else")
        (row,) = call("reset_alert_rule", rule=rule, model=model)
        changed = row["reset_alert_rule"]
        say({"changed": changed}, "reset" if changed else "it was not otherwise")
        return
    show(call("set_alert_rule", rule=rule, threshold=threshold, is_active=on, model=model))


@alerts_app.command("send")
def alerts_send(
    most: Annotated[int, typer.Option(help="How many deliveries at most.")] = 1000,
) -> None:
    """Posts what is due to the webhooks now; exit code 1 when one could not be delivered."""
    with (
        database.explaining(),
        database.connect(settings.resolved(), autocommit=True) as connection,
    ):
        schema.require_current(connection)
        done = webhooks.send_due(connection, most=most)
    say(
        {"sent": done.sent, "failed": done.failed, "given_up": done.given_up},
        f"sent {done.sent}, failed {done.failed}, given up {done.given_up}",
    )
    if done.failed or done.given_up:
        raise typer.Exit(1)


@webhooks_app.command("add")
def webhooks_add(
    url: Annotated[str, typer.Argument(help="http or https; - reads it from stdin.")],
    severity: Annotated[str, typer.Option(help="warning = all, critical = these only.")] = (
        "warning"
    ),
    rules: Annotated[
        list[str] | None, typer.Option("--rule", help="Only this rule; repeatable.")
    ] = None,
    models: Annotated[
        list[str] | None, typer.Option("--model", help="Only this model; repeatable.")
    ] = None,
    secret: Annotated[
        str | None,
        typer.Option(help="Environment variable of the worker, WEIGHHOUSE_WEBHOOK_…: signs."),
    ] = None,
    description: Annotated[str | None, typer.Option(help="What it is for.")] = None,
) -> None:
    """Has alerts posted to a URL; the same URL again changes what it wants."""
    if url == "-":
        url = sys.stdin.readline().strip()
    (row,) = call(
        "add_webhook",
        url=url,
        min_severity=severity,
        rules=rules or None,
        models=models or None,
        secret_name=secret,
        description=description,
    )
    say({"webhook_id": row["add_webhook"]}, f"webhook {row['add_webhook']}")


@webhooks_app.command("list")
def webhooks_list() -> None:
    """Lists who is told of alerts, and how that goes."""
    show(
        _read(
            "select webhook_id as id, url, description, min_severity, rules, models, is_signed,"
            " is_active, sent_count as sent, waiting_count as waiting, given_up_count as given_up,"
            " last_sent_at, last_error from bi.webhook order by webhook_id"
        ),
        empty="there is no webhook",
    )


@webhooks_app.command("remove")
def webhooks_remove(webhook: Annotated[int, typer.Argument(help="Its number.")]) -> None:
    """Removes a webhook; what was sent to it stays in the outbox."""
    (row,) = call("remove_webhook", id=webhook)
    given_up = row["remove_webhook"]
    say({"given_up": given_up}, f"removed; {given_up} deliveries were not sent")


@webhooks_app.command("test")
def webhooks_test(webhook: Annotated[int, typer.Argument(help="Its number.")]) -> None:
    """Posts a test now; exit code 1 when the receiver does not take it."""
    with ready() as connection:
        answer = webhooks.send_test(connection, webhook)
    say(
        {"response_status": answer.status, "error": answer.error},
        f"answered {answer.status}" if answer.error is None else f"failed: {answer.error}",
    )
    if answer.error is not None:
        raise typer.Exit(1)
