"""Webhooks: at least once, each with its id, to a server that answers, fails, hangs or hangs up."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg
import pytest

from loader import cli, database, webhooks
from tests.conftest import copy_database, drop_database, in_database

Connection = psycopg.Connection[Any]
SECRET = "WEIGHHOUSE_WEBHOOK_TEST_KEY"


class Receiver(ThreadingHTTPServer):
    """Remembers what was posted; answers as it is told."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.posts: list[dict[str, Any]] = []
        self.answer: Callable[[BaseHTTPRequestHandler, int], None] = answering(204)
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook/T0P-SECRET?token=s3cret"

    @property
    def ids(self) -> list[str]:
        return [post["headers"]["X-Weighhouse-Delivery"] for post in self.posts]


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with self.server.lock:
            self.server.posts.append(
                {"headers": dict(self.headers), "body": body, "path": self.path}
            )
            number = len(self.server.posts)
        self.server.answer(self, number)

    def do_GET(self) -> None:
        self.send_error(405)

    def log_message(self, *arguments: object) -> None:
        pass


def answering(
    status: int, text: str = "", **headers: str
) -> Callable[[BaseHTTPRequestHandler, int], None]:
    def answer(handler: BaseHTTPRequestHandler, number: int) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(text.encode())))
        handler.end_headers()
        handler.wfile.write(text.encode())

    return answer


def hanging_up(handler: BaseHTTPRequestHandler, number: int) -> None:
    handler.close_connection = True
    handler.connection.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def url(server_url: str, template: str) -> Iterator[str]:
    name = f"wh_alerts_{uuid.uuid4().hex[:8]}"
    copy_database(server_url, template, name)
    yield in_database(server_url, name)
    drop_database(server_url, name)


@pytest.fixture
def db(url: str) -> Iterator[Connection]:
    """A database without alerts and webhooks, in which each statement is kept at once."""
    with database.connect(url, autocommit=True) as connection:
        connection.execute("truncate core.webhook, core.webhook_delivery, core.alert")
        connection.execute(
            "update core.settings set value = default_value where name like 'webhooks.%'"
        )
        yield connection


def add(db: Connection, address: str, **more: object) -> int:
    names = "".join(f", {name} => %s" for name in more)
    (number,) = db.execute(
        f"select api.add_webhook(%s{names})", (address, *more.values())
    ).fetchone() or (0,)
    return int(number)


def alert(db: Connection, subject: str = "prices") -> int:
    (number,) = db.execute(
        "select api.raise_alert('data_late', %s, 'прайс не пришёл')", (subject,)
    ).fetchone() or (0,)
    return int(number)


def outbox(db: Connection) -> list[tuple[Any, ...]]:
    return db.execute(
        "select status, attempts, response_status, last_error from core.webhook_delivery"
        " order by number"
    ).fetchall()


def due_now(db: Connection) -> None:
    db.execute(
        "update core.webhook_delivery set next_attempt_at = now() where next_attempt_at is not null"
    )


def test_delivered_once_with_its_id_and_signature(
    db: Connection, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SECRET, "ключ")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    add(db, receiver.url, secret_name=SECRET)
    number = alert(db)
    assert webhooks.send_due(db) == webhooks.Sent(sent=1)
    assert not webhooks.send_due(db)
    (post,) = receiver.posts
    body = json.loads(post["body"])
    assert post["path"] == "/hook/T0P-SECRET?token=s3cret"
    assert (
        body["id"] == post["headers"]["X-Weighhouse-Delivery"] == post["headers"]["Idempotency-Key"]
    )
    assert (body["event"], body["alert"]["id"], body["alert"]["message"]) == (
        "raised",
        number,
        "прайс не пришёл",
    )
    assert post["headers"]["Content-Type"] == "application/json"
    # As the receiver checks it.
    moment, signature = (
        part.split("=")[1] for part in post["headers"]["X-Weighhouse-Signature"].split(",")
    )
    expected = hmac.new(
        "ключ".encode(), f"{moment}.{post['body']}".encode(), hashlib.sha256
    ).hexdigest()
    assert signature == expected and abs(time.time() - int(moment)) < 60
    assert outbox(db) == [("sent", 1, 204, None)]


def test_all_that_happens_to_an_alert_is_told_in_order(db: Connection, receiver: Receiver) -> None:
    add(db, receiver.url)
    number = alert(db)
    db.execute("select * from api.acknowledge_alerts(%s)", ([number],))
    receiver.answer = answering(500)
    webhooks.send_due(db)
    # What comes later waits for what failed.
    receiver.answer = answering(200)
    db.execute("select * from api.resolve_alerts(%s)", ([number],))
    assert not webhooks.send_due(db)
    due_now(db)
    assert webhooks.send_due(db) == webhooks.Sent(sent=3)
    told = [json.loads(post["body"]) for post in receiver.posts]
    assert [(post["event"], post["alert"]["status"]) for post in told] == [
        ("raised", "open"), ("raised", "open"), ("acknowledged", "acknowledged"),
        ("resolved", "resolved"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (answering(500, "out of <b>order</b>\n" + "x" * 5000), 500, "out of <b>order</b>"),
        (answering(404, "no /hook/T0P-SECRET?token=s3cret here"), 404, "no /… here"),
        (answering(302, Location="http://127.0.0.1:9/"), 302, "redirects are not followed"),
        (hanging_up, None, "Remote"),
    ],
)  # fmt: skip
def test_what_was_not_taken_is_sent_again_with_the_same_id(
    db: Connection, receiver: Receiver, answer: Any, status: int | None, words: str
) -> None:
    add(db, receiver.url)
    alert(db)
    receiver.answer = answer
    assert webhooks.send_due(db) == webhooks.Sent(failed=1)
    ((kept, attempts, code, error),) = outbox(db)
    assert (kept, attempts, code) == ("failed", 1, status)
    assert words in error and len(error) <= 500 and "\n" not in error
    assert "s3cret" not in error and "T0P-SECRET" not in error
    # Not before its time.
    assert not webhooks.send_due(db)
    due_now(db)
    receiver.answer = answering(200)
    assert webhooks.send_due(db) == webhooks.Sent(sent=1)
    assert len(receiver.posts) == 2 and len(set(receiver.ids)) == 1
    assert receiver.posts[0]["body"] == receiver.posts[1]["body"]


def test_back_off_doubles_and_ends(db: Connection, receiver: Receiver) -> None:
    number = add(db, receiver.url)
    alert(db)
    receiver.answer = answering(503)
    for attempt in range(1, 6):
        before = db.execute("select clock_timestamp()").fetchone() or (datetime.max,)
        done = webhooks.send_due(db)
        (until, kept) = db.execute(
            "select next_attempt_at, status from core.webhook_delivery"
        ).fetchone() or (None, None)
        if attempt == 5:
            assert done == webhooks.Sent(given_up=1) and (until, kept) == (None, "given_up")
            break
        assert done == webhooks.Sent(failed=1)
        wait = (until - before[0]).total_seconds() / (60 * 2 ** (attempt - 1))
        assert 0.875 <= wait <= 1.125 + 0.1, attempt
        due_now(db)
    assert not webhooks.send_due(db)
    assert len(receiver.posts) == 5 and len(set(receiver.ids)) == 1
    shown = db.execute(
        "select given_up_count, last_error from bi.webhook where webhook_id = %s", (number,)
    ).fetchone()
    assert shown is not None and shown[0] == 1 and shown[1].startswith("503")


def test_who_hangs_or_drips_is_left_in_time(db: Connection, receiver: Receiver) -> None:
    db.execute("update core.settings set value = '0.5' where name = 'webhooks.timeout_seconds'")
    add(db, receiver.url)
    alert(db)
    ended = threading.Event()

    def dripping(handler: BaseHTTPRequestHandler, number: int) -> None:
        handler.close_connection = True
        if number == 1:
            ended.wait(5)
            return
        try:
            for byte in b"HTTP/1.1 200 OK\r\nX-Never: ends" + b"s" * 100:
                handler.connection.sendall(bytes([byte]))
                time.sleep(0.1)
        except OSError:
            pass

    receiver.answer = dripping
    for _ in range(2):
        begun = time.monotonic()
        assert webhooks.send_due(db) == webhooks.Sent(failed=1)
        assert time.monotonic() - begun < 2
        assert outbox(db)[0][3] == "no answer within 0.5 s"
        due_now(db)
    ended.set()


def test_nobody_there_and_a_secret_not_set_are_said(db: Connection, receiver: Receiver) -> None:
    receiver_gone = Receiver()
    receiver_gone.server_close()
    add(db, receiver_gone.url)
    add(db, receiver.url, secret_name=SECRET)
    alert(db)
    assert webhooks.send_due(db) == webhooks.Sent(failed=2)
    errors = [row[3] for row in outbox(db)]
    assert "refused" in errors[0]
    assert SECRET in errors[1]
    assert receiver.posts == []


def test_a_receiver_that_is_down_does_not_hold_up_the_others(
    db: Connection, receiver: Receiver
) -> None:
    gone = Receiver()
    gone.server_close()
    add(db, gone.url)
    add(db, receiver.url)
    for place in range(5):
        alert(db, f"price list {place}")
    assert webhooks.send_due(db, most=20) == webhooks.Sent(sent=5, failed=1)


def test_two_workers_never_send_the_same(db: Connection, url: str, receiver: Receiver) -> None:
    add(db, receiver.url)
    for place in range(40):
        alert(db, f"price list {place}")

    def slowly(handler: BaseHTTPRequestHandler, number: int) -> None:
        time.sleep(0.01)
        answering(200)(handler, number)

    receiver.answer = slowly
    done: list[int] = []

    def work() -> None:
        with database.connect(url, autocommit=True) as connection:
            while sent := webhooks.send_due(connection, most=7).sent:
                done.append(sent)

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sum(done) == len(receiver.ids) == len(set(receiver.ids)) == 40
    assert {row[0] for row in outbox(db)} == {"sent"}


def test_a_worker_killed_between_post_and_mark_leaves_it_to_the_next(
    db: Connection, url: str, receiver: Receiver
) -> None:
    add(db, receiver.url)
    alert(db)

    def killing(handler: BaseHTTPRequestHandler, number: int) -> None:
        with psycopg.connect(url, autocommit=True) as killer:
            killer.execute("select pg_terminate_backend(%s, 5000)", (victim.info.backend_pid,))
        answering(200)(handler, number)

    receiver.answer = killing
    victim = database.connect(url, autocommit=True)
    with pytest.raises(psycopg.OperationalError), victim:
        webhooks.send_due(victim)
    assert outbox(db) == [("pending", 0, None, None)]
    receiver.answer = answering(200)
    assert webhooks.send_due(db) == webhooks.Sent(sent=1)
    assert len(receiver.posts) == 2 and len(set(receiver.ids)) == 1


def test_what_belongs_to_somebody_elses_transaction_is_left_alone(url: str) -> None:
    with database.connect(url) as connection:
        connection.execute("select 1")
        with pytest.raises(ValueError):
            webhooks.send_due(connection)


# ---------------------------------------------------------------------------------------- commands


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """The command without a process."""

    def command(*words: str, typed: str = "") -> Done:
        monkeypatch.setattr(sys, "argv", ["loader", "--dsn", url, *words])
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert isinstance(ended.value.code, int)
        said = capsys.readouterr()
        return Done(ended.value.code, said.out, said.err)

    return command


def test_from_the_command_line(
    db: Connection, run: Callable[..., Done], receiver: Receiver
) -> None:
    said = json.loads(
        run(
            "--json", "webhooks", "add", "-", "--severity", "warning", typed=receiver.url + "\n"
        ).stdout
    )
    number = str(said["webhook_id"])
    tested = run("webhooks", "test", number)
    assert (tested.returncode, tested.stdout) == (0, "answered 204\n")
    assert json.loads(receiver.posts[0]["body"])["event"] == "test"
    assert "nothing is wrong" in run("alerts", "list").stdout
    key = str(alert(db))
    db.execute("delete from core.job")
    assert run("alerts", "raise").stdout == "raised 0, seen again 0, resolved 1, open 0\n"
    key = str(alert(db))
    listed = json.loads(run("--json", "alerts", "list", "--severity", "warning").stdout)
    assert [(str(row["id"]), row["rule"]) for row in listed] == [(key, "data_late")]
    assert (
        run("alerts", "acknowledge", key, "--notes", "asked").stdout
        == "acknowledged 1, already 0\n"
    )
    assert run("alerts", "resolve", key).stdout == "resolved 1, already 0\n"
    assert len(json.loads(run("--json", "alerts", "list", "--all").stdout)) == 2
    sent = run("--json", "alerts", "send")
    assert (sent.returncode, json.loads(sent.stdout)) == (
        0,
        {"sent": 5, "failed": 0, "given_up": 0},
    )
    shown = run("webhooks", "list").stdout
    assert "http://127.0.0.1" in shown and "s3cret" not in shown and "T0P" not in shown
    receiver.answer = answering(500)
    alert(db)
    assert run("alerts", "send").returncode == 1
    assert run("webhooks", "test", number).returncode == 1
    assert "1 deliveries were not sent" in run("webhooks", "remove", number).stdout


def test_rules_from_the_command_line(db: Connection, run: Callable[..., Done]) -> None:
    assert "mape_critical" in run("alerts", "rules").stdout
    changed = json.loads(
        run("--json", "alerts", "set", "bias", "--threshold", "7", "--model", "shrinkage").stdout
    )
    assert changed[0]["rule_threshold"] == 7
    assert run("alerts", "set", "bias", "--model", "shrinkage", "--reset").stdout == "reset\n"
    assert run("alerts", "set", "bias", "--off").returncode == 0
    assert run("alerts", "set", "bias", "--on").returncode == 0
    for words, code in (
        ("alerts set bias --reset", 2),
        ("alerts set bias", 4),
        ("alerts set mape --off", 4),
        ("alerts acknowledge 987654321", 4),
        ("alerts list --severity bad", 4),
        ("webhooks add https://user:hunter2@example.com", 4),
        ("webhooks remove 987654321", 4),
        ("webhooks test 987654321", 4),
    ):
        done = run(*words.split())
        assert done.returncode == code, done.stderr
        assert "hint:" in done.stderr or code == 2
        assert "hunter2" not in done.stderr
