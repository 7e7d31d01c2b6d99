"""The outbox of alerts: what is due is posted, at least once, each with its id."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import socket
import ssl
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psycopg
from psycopg.pq import TransactionStatus

from loader import __version__
from loader.errors import Refused

ANSWER_KEPT = 500  # characters of an answer that are stored
# A receiver that is down must not hold up the others: one failed attempt of a webhook a call.
# What happened to an alert is told in its order.
DUE = """
select d.id, d.payload::text, w.url, w.secret_name, d.webhook_id
from core.webhook_delivery as d
inner join core.webhook as w on w.id = d.webhook_id
where d.next_attempt_at <= now() and d.webhook_id <> all(%(failing)s)
  and not exists (
      select from core.webhook_delivery as e
      where e.webhook_id = d.webhook_id and e.alert_id = d.alert_id and e.number < d.number
        and e.next_attempt_at is not null
  )
order by d.next_attempt_at, d.number
limit 1
for update of d skip locked
"""
SENT = """
update core.webhook_delivery
set status = 'sent', attempts = attempts + 1, sent_at = clock_timestamp(), next_attempt_at = null,
    response_status = %(status)s
where id = %(id)s
"""
FAILED = """
update core.webhook_delivery as d
set attempts = d.attempts + 1, last_error = %(error)s, response_status = %(status)s,
    status = case when d.attempts + 1 >= s.most then 'given_up' else 'failed' end,
    next_attempt_at = case when d.attempts + 1 < s.most then clock_timestamp()
        + s.backoff * 2 ^ least(d.attempts, 20) * (0.875 + 0.25 * random()) * interval '1 s' end
from (
    select coalesce(max((value #>> '{}')::float8) filter (where name = 'webhooks.max_attempts'), 5)
        as most,
        coalesce(max((value #>> '{}')::float8) filter (where name = 'webhooks.backoff_seconds'), 60)
        as backoff
    from core.settings
) as s
where d.id = %(id)s
returning d.status
"""
TIMEOUT = """
select coalesce(max((value #>> '{}')::float8), 10) from core.settings
where name = 'webhooks.timeout_seconds'
"""
# Where this machine vanishes the server frees the row, and another worker sends it.
WATCHED = """
select set_config('idle_in_transaction_session_timeout', (1000 * (%s + 30))::int::text, true)
"""


@dataclass
class Sent:
    """What became of the deliveries that were due."""

    sent: int = 0
    failed: int = 0
    given_up: int = 0

    def __int__(self) -> int:
        return self.sent + self.failed + self.given_up

    def __bool__(self) -> bool:
        return int(self) > 0


class Answer(NamedTuple):
    """What a receiver said: its status, and why that is no success."""

    status: int | None
    error: str | None


def send_due(connection: psycopg.Connection[Any], *, most: int = 100) -> Sent:
    """Post what is due, each in a transaction of its own, at most so many.

    The row stays locked while it is posted: nobody else sends it meanwhile, and the lock of a
    worker that dies is free at once, which no time of a lease would be. The price is a transaction
    open for as long as the receiver may take. What was posted but not marked is posted again, with
    its id.
    """
    if connection.info.transaction_status is not TransactionStatus.IDLE:
        raise ValueError("a connection without an open transaction is needed")
    done = Sent()
    failing: list[int] = []
    for _ in range(most):
        with connection.transaction():
            row = connection.execute(DUE, {"failing": failing}).fetchone()
            if row is None:
                break
            number, payload, url, secret_name, webhook = row
            (seconds,) = connection.execute(TIMEOUT).fetchone() or (10.0,)
            connection.execute(WATCHED, (seconds,))
            answer = post(url, payload, str(number), secret_name=secret_name, seconds=seconds)
            values = {"id": number, "status": answer.status, "error": answer.error}
            if answer.error is None:
                connection.execute(SENT, values)
                done.sent += 1
                continue
            failing.append(webhook)
            (status,) = connection.execute(FAILED, values).fetchone() or ("failed",)
            if status == "given_up":
                done.given_up += 1
            else:
                done.failed += 1
    return done


def send_test(connection: psycopg.Connection[Any], webhook: int) -> Answer:
    """Post a test to a webhook; nothing is stored."""
    row = connection.execute(
        "select url, secret_name from core.webhook where id = %s", (webhook,)
    ).fetchone()
    (seconds,) = connection.execute(TIMEOUT).fetchone() or (10.0,)
    connection.rollback()
    if row is None:
        raise Refused(f"there is no webhook {webhook}", hint="see loader webhooks list")
    number = str(uuid.uuid4())
    payload = json.dumps({"id": number, "event": "test", "alert": None})
    return post(row[0], payload, number, secret_name=row[1], seconds=seconds)


def sign(secret: str, moment: int, payload: str) -> str:
    """Sign moment and payload: `t=<seconds>,v1=<HMAC-SHA256 of "<seconds>.<payload>", in hex>`."""
    digest = hmac.new(secret.encode(), f"{moment}.{payload}".encode(), hashlib.sha256)
    return f"t={moment},v1={digest.hexdigest()}"


def post(
    url: str, payload: str, number: str, *, secret_name: str | None = None, seconds: float = 10
) -> Answer:
    """Post JSON to a URL: directly (no proxy), no redirect followed, at most so many seconds."""
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"weighhouse/{__version__}",
        "Idempotency-Key": number,
        "X-Weighhouse-Delivery": number,
    }
    if secret_name is not None:
        secret = os.environ.get(secret_name)
        if not secret:
            return Answer(None, f"the environment variable {secret_name} of the worker is not set")
        headers["X-Weighhouse-Signature"] = sign(secret, int(time.time()), payload)
    connection: http.client.HTTPConnection | None = None
    timer: threading.Timer | None = None
    late = threading.Event()
    try:
        connection = _connection(url, seconds)
        parts = urlsplit(url)
        # The limit of the socket is one of silence; a drip would pass it for ever.
        timer = threading.Timer(seconds, _hang_up, (connection, late))
        timer.daemon = True
        timer.start()
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target, payload.encode(), headers)
        response = connection.getresponse()
        said = response.read(4 * ANSWER_KEPT).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException, ValueError) as error:
        if late.is_set() or isinstance(error, TimeoutError):
            return Answer(None, f"no answer within {seconds:g} s")
        return Answer(None, _plain(f"{type(error).__name__}: {error}"))
    finally:
        if timer is not None:
            timer.cancel()
        if connection is not None:
            connection.close()
    if 200 <= response.status < 300:
        return Answer(response.status, None)
    if 300 <= response.status < 400:
        # Not even whereto is kept: it may be another's secret.
        return Answer(response.status, f"{response.status}: redirects are not followed")
    if len(target) > 1:
        # The path may be a secret that the answer repeats.
        said = said.replace(target, "/…").replace(parts.path or "/…", "/…")
    return Answer(response.status, _plain(f"{response.status} {response.reason}: {said}"))


def _connection(url: str, seconds: float) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ValueError("not an http or https URL without user and password")
    if parts.scheme == "http":
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=seconds)
    return http.client.HTTPSConnection(
        parts.hostname, parts.port, timeout=seconds, context=ssl.create_default_context()
    )


def _hang_up(connection: http.client.HTTPConnection, late: threading.Event) -> None:
    late.set()
    if connection.sock is not None:
        with suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)


def _plain(text: str) -> str:
    """Keep what a table can hold and a person can read: one line, so many characters."""
    return "".join(c if c.isprintable() else " " for c in text).strip()[:ANSWER_KEPT]
