"""What of an upgrade needs no server: files, hashes, statements, what migrations may say."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path

import pytest

from loader import schema
from loader.errors import UsageError
from tests.conftest import ROOT

MIGRATIONS = sorted((ROOT / "migrations/versions").glob("[0-9]*.py"))
WRAPPER = "create function f() returns int\nlanguage plpython3u\nas $python$\nreturn 1\n$python$;\n"


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("sql", "plpython", "migrations"):
        shutil.copytree(
            ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.md")
        )
    monkeypatch.setattr(schema, "resource", lambda name: tmp_path / name)
    return tmp_path


def test_a_wrapper_gets_the_hash_and_keeps_its_lines() -> None:
    bound = schema.bind_code(
        "-- " + "$python$\n" + WRAPPER + WRAPPER, "0123456789abcdef" + "f" * 48
    )
    assert bound.count("\n") == 2 * WRAPPER.count("\n") + 1
    lines = bound.splitlines()
    assert lines[3].startswith("as $python$GD.get('0123456789abcdef') or plpy.execute(")
    assert lines[4] == "return 1"
    assert bound.count("GD.get") == 2


def test_other_bodies_are_left_alone() -> None:
    text = "create function f() returns int language plpgsql\nas $$\nbegin return 1; end\n$$;\n"
    assert schema.bind_code(text, "f" * 64) == text


def test_every_wrapper_is_bound_but_the_one_that_loads() -> None:
    for path in schema.sql_files():
        text = path.read_text("utf-8")
        wrappers = len(re.findall(r"^language plpython3u", text, re.M))
        bound = schema.bind_code(text, "f" * 64).count("GD.get('ffff")
        assert bound == (0 if path.name == "load_code.sql" else wrappers), path


def test_files_run_in_the_order_of_their_folders() -> None:
    files = schema.sql_files()
    assert files[0].parent.name.startswith("00_") and files[-1].parent.name.startswith("99_")
    numbers = [path.parent.name for path in files]
    assert numbers == sorted(numbers)
    assert {path.suffix for path in files} == {".sql"}
    every = {p for p in (ROOT / "sql").rglob("*.sql")}
    assert every == set(files), "a file of sql/ that no upgrade runs"


def test_modules_have_names_and_places() -> None:
    modules = {module.name: module for module in schema.python_modules()}
    assert modules["weighhouse"].is_package
    assert modules["weighhouse"].path == "plpython/weighhouse/__init__.py"
    assert modules["weighhouse.stock"].path == "plpython/weighhouse/stock.py"
    for module in modules.values():
        assert (ROOT / module.path).read_text("utf-8") == module.source
        assert not module.source.startswith("\ufeff")


def test_any_change_changes_the_hash(tree: Path) -> None:
    seen = {schema.code_sha256()}
    python = schema.python_sha256()
    for path in ("sql/00_schemas/schemas.sql", "plpython/weighhouse/stock.py"):
        with (tree / path).open("a") as file:
            file.write("\n")
        seen.add(schema.code_sha256())
    assert schema.python_sha256() != python
    (tree / "plpython/weighhouse/stock.py").rename(tree / "plpython/weighhouse/stocks.py")
    seen.add(schema.code_sha256())
    (tree / "sql/90_views/balance.sql").rename(tree / "sql/90_views/balances.sql")
    seen.add(schema.code_sha256())
    assert len(seen) == 5
    # Caches that an import leaves behind are no code.
    (tree / "plpython/weighhouse/__pycache__").mkdir()
    (tree / "plpython/weighhouse/__pycache__/stock.cpython-311.pyc").write_bytes(b"\0")
    assert schema.code_sha256() in seen


def test_an_installed_loader_carries_what_it_deploys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site-packages" / "loader"
    (package / "bundle" / "sql").mkdir(parents=True)
    monkeypatch.setattr(schema, "__file__", str(package / "schema.py"))
    assert schema.resource("sql") == package / "bundle" / "sql"


def test_the_offline_statements_are_those_of_the_migrations() -> None:
    text = schema.offline_sql("0001")
    assert "create table core.source_data" in text and "core.stock_movements" not in text
    assert "create function" not in text
    whole = schema.offline_sql()
    for path in schema.sql_files():
        assert f"-- {path.parent.name}/{path.name}\n" in whole
    assert whole.index("create table core.coefficients") < whole.index(
        "create function internal.load_code"
    )
    # A quotation mark in the Python that is stored must not end the string.
    assert schema._quoted("it's") == "'it''s'"
    assert schema._quoted(None) == "null"
    with pytest.raises(UsageError):
        schema.offline_sql("0815")


def test_a_migration_that_fails_while_it_says_its_statements_leaves_no_trace() -> None:
    def failing() -> None:
        schema.run("select 1")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        schema._statements_of(failing)
    assert schema._statements_of(lambda: schema.run("select 2")) == ["select 2"]
    assert schema._collected is None


def test_revisions_are_one_line_of_numbers() -> None:
    assert schema.revisions() == [f"{n:04d}" for n in range(1, len(MIGRATIONS) + 1)]
    assert [path.name[:4] for path in MIGRATIONS] == schema.revisions()
    assert [revision for revision, _ in schema.history()] == schema.revisions()


@pytest.mark.parametrize("path", MIGRATIONS, ids=lambda path: path.stem)
def test_a_migration_holds_state_only(path: Path) -> None:
    text = path.read_text("utf-8")
    tree = ast.parse(text)
    docstring = ast.get_docstring(tree) or ""
    assert re.fullmatch(r"[A-Z].*\.", docstring), "the docstring is a sentence"
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    standard = {"from dataclasses import dataclass", "import re"}
    assert {ast.unparse(node) for node in imports} - standard == {"from loader.schema import run"}
    # What a scheduler calls is state, and knows the code it calls by name alone.
    entry = r"create procedure core\.\w+\([^)]*\)\s+language plpgsql\s+as \$\$.*?\$\$"
    statements = re.sub(entry, "", text, flags=re.S)
    statements = re.sub(r"--[^\n]*|'(?:[^']|'')*'", "", statements)
    assert not re.search(r"\b(api|internal|bi)\.", statements), "state does not know code"
    cascades = re.findall(r"(\w+ \w+) cascade\b", statements, re.I)
    assert set(cascades) <= {"on delete", "on update"}, "drops nothing that hangs on it"
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert {"upgrade", "downgrade"} <= functions


def test_no_sql_file_cascades() -> None:
    for path in schema.sql_files():
        statements = re.sub(r"--[^\n]*|'(?:[^']|'')*'", "", path.read_text("utf-8"))
        assert not re.search(r"\bdrop\b[^;]*\bcascade\b", statements, re.I), path
