"""What the README shows is what happens: its demo output, its SQL session, its file map."""

from __future__ import annotations

import re
import shlex

import psycopg
import pytest

from tests.conftest import EXAMPLES, ROOT
from tests.loader.command_line import run

README = (ROOT / "README.md").read_text("utf-8")


def part(name: str) -> str:
    """Give what stands between <!-- name --> and <!-- /name -->."""
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", README, re.S)
    assert found, name
    return found.group(1)


def loader(url: str, *words: str) -> str:
    """Run the command as a user does."""
    done = run(url, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def stable(line: str) -> str:
    """Drop what differs from run to run: seconds, moments, series, and how wide a column is."""
    line = re.sub(r"\d+\.\d+ s$", "", line.strip())
    line = re.sub(r"^[\d-]+ [\d:]+ +(nightly +\w+ +\w+) +[\d.e-]+", r"\1", line)
    forecast = re.match(
        r"(\d{4}-\d\d-\d\d \d\d:\d\d) +\d+ (.*?)(?: +\d{4}-\d\d-\d\d \d\d:\d\d)?$", line
    )
    if forecast:
        line = " ".join(forecast.groups())
    return re.sub(r"\s+", " ", re.sub(r" +made_at +note$", "", line))


@pytest.fixture(scope="module")
def demo_lines() -> list[str]:
    # Building the server prints what the machine is like; the work begins with the import.
    shown = part("demo").split("$ loader import", 1)[1]
    lines = [stable(line) for line in shown.splitlines()[1:]]
    return [line for line in lines if line and not line.startswith(("```", "$", "…"))]


def test_demo_prints_what_the_readme_shows(fresh_url: str, demo_lines: list[str]) -> None:
    files = [str(path) for path in sorted((EXAMPLES / "vedomost").glob("*.csv"))]
    printed = loader(
        fresh_url, "import", *files, "--encoding", "cp1251", "--timezone", "Europe/Moscow"
    )
    script = (ROOT / "deploy/demo.sh").read_text("utf-8")
    accept = re.search(r"psql -c \"\n(.*?)\"\n", script, re.S)
    ask = re.search(r'psql -c "(select item, loss_kg.*?)"\n', script, re.S)
    assert accept and ask
    printed += loader(fresh_url, "jobs", "run", "nightly")
    with psycopg.connect(fresh_url) as connection:
        for row in connection.execute(accept.group(1)).fetchall():
            printed += " | ".join(str(value) for value in row) + "\n"
    printed += loader(fresh_url, "jobs", "run", "nightly") + loader(fresh_url, "report")
    commands = re.findall(r"^run (models .*?)(?: \|\|)?$", script.replace("\\\n", " "), re.M)
    assert len(commands) == 4
    for words in commands:
        printed += loader(fresh_url, *shlex.split(words))
    seen = {stable(line) for line in printed.splitlines()}
    missing = [
        line
        for line in demo_lines
        if line not in seen and not line.startswith(("item ", "id |", "-", "(1 row)", "(2 rows)"))
    ]
    with psycopg.connect(fresh_url) as connection:
        answer = connection.execute(ask.group(1)).fetchall()
    missing = [line for line in missing if not line.startswith(str(answer[0][0]) + " |")]
    assert missing == []
    # The last digits of a float8 may differ from machine to machine.
    assert any(f"{answer[0][1]:.10f}"[:8] in line for line in demo_lines)


def test_sql_session_of_the_readme_runs(fresh_url: str) -> None:
    files = [str(path) for path in sorted((EXAMPLES / "vedomost").glob("*.csv"))[:4]]
    loader(fresh_url, "import", *files, "--encoding", "cp1251", "--timezone", "Europe/Moscow")
    loader(fresh_url, "fit")
    session = part("session").replace("```sql", "").replace("```", "")
    statements = [s for s in re.split(r";\s*\n", session) if s.strip()]
    assert len(statements) >= 6
    with psycopg.connect(fresh_url) as connection:
        for statement in statements:
            cursor = connection.execute(statement)
            assert cursor.description is not None, statement


def test_folders_the_readme_maps_exist() -> None:
    for folder in re.findall(r"^([a-z]+)/ ", README, re.M):
        assert (ROOT / folder).is_dir(), folder


def test_commands_the_readme_names_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"make ([a-z]+)", README):
        assert re.search(rf"^{target}:", makefile, re.M), target
    ci = (ROOT / ".ci/run").read_text("utf-8")
    assert "make test" in ci and "make test" in README
