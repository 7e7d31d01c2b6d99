"""The catalogue of what users touch, made from the comments in the database."""

from __future__ import annotations

from typing import Any

import psycopg

HEAD = """\
# Catalogue

What users and tools touch, from the comments in the database (`loader describe`). Do not edit.
"""

SECTIONS = (("api", "Functions (api)"), ("bi", "Views (bi)"), ("core", "Tables (core)"))
RELATIONS = """
select c.oid, c.relname, obj_description(c.oid, 'pg_class')
from pg_class as c
inner join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = %s and c.relkind in ('r', 'p', 'v') and c.relname <> 'revision'
  -- How an edition keeps what others see is its own affair.
  and c.relname !~ '_day_utc$'
order by c.relname collate "C"
"""
COLUMNS = """
select a.attname, format_type(a.atttypid, a.atttypmod), col_description(a.attrelid, a.attnum)
from pg_attribute as a
where a.attrelid = %s and a.attnum > 0 and not a.attisdropped
order by a.attnum
"""
ROUTINES = """
select p.proname, pg_get_function_arguments(p.oid)
     , coalesce(pg_get_function_result(p.oid), ''), obj_description(p.oid, 'pg_proc')
from pg_proc as p
inner join pg_namespace as n on n.oid = p.pronamespace
where n.nspname = %s
order by p.proname collate "C", pg_get_function_arguments(p.oid) collate "C"
"""


def describe(connection: psycopg.Connection[Any]) -> str:
    """Write the catalogue as Markdown: the same text on every server and for every reader."""
    parts = [HEAD]
    with connection.transaction():
        before = connection.execute("show search_path").fetchone()
        # Names of types come with their schema, whatever the reader's path.
        connection.execute("set local search_path = pg_catalog, pg_temp")
        for schema, title in SECTIONS:
            row = connection.execute(
                "select obj_description(%s::regnamespace, 'pg_namespace')", (schema,)
            ).fetchone()
            parts.append(f"## {title}\n\n{row[0] if row else ''}\n")
            for routine in connection.execute(ROUTINES, (schema,)).fetchall():
                parts.append(_routine(schema, *routine))
            for oid, name, comment in connection.execute(RELATIONS, (schema,)).fetchall():
                columns = connection.execute(COLUMNS, (oid,)).fetchall()
                parts.append(_relation(f"{schema}.{name}", comment, columns))
        connection.execute("select set_config('search_path', %s, true)", before)
    return "\n".join(parts)


def _routine(schema: str, name: str, arguments: str, result: str, comment: str | None) -> str:
    returns = f"returns {result}\n\n" if result else ""
    return f"### {schema}.{name}({arguments})\n\n{returns}{comment or ''}\n"


def _relation(name: str, comment: str | None, columns: list[Any]) -> str:
    lines = [f"### {name}\n\n{comment or ''}\n", "| column | type | |", "| --- | --- | --- |"]
    for column, kind, text in columns:
        escaped = (text or "").replace("|", "\\|").replace("\n", " ")
        lines.append(f"| {column} | {kind} | {escaped} |")
    return "\n".join(lines) + "\n"
