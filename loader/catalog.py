"""The catalogue of what users touch, made from the comments in the database."""

from __future__ import annotations

from typing import Any

import psycopg

HEAD = """\
# Catalogue

What users and tools touch, from the comments in the database (`loader describe`). Do not edit.
"""

RELATIONS = """
select c.oid, n.nspname, c.relname, c.relkind, obj_description(c.oid, 'pg_class')
from pg_class as c
inner join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = %s and c.relkind in ('r', 'p', 'v') and c.relname <> 'revision'
order by c.relname
"""
COLUMNS = """
select a.attname, format_type(a.atttypid, a.atttypmod), col_description(a.attrelid, a.attnum)
from pg_attribute as a
where a.attrelid = %s and a.attnum > 0 and not a.attisdropped
order by a.attnum
"""
ROUTINES = """
select p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid)
     , obj_description(p.oid, 'pg_proc')
from pg_proc as p
inner join pg_namespace as n on n.oid = p.pronamespace
where n.nspname = %s
order by p.proname, pg_get_function_arguments(p.oid)
"""


def describe(connection: psycopg.Connection[Any]) -> str:
    """Write the catalogue as Markdown."""
    parts = [HEAD]
    for schema, title in (("api", "Functions (api)"), ("bi", "Views (bi)"), ("core", "Tables (core)")):
        row = connection.execute(
            "select obj_description(%s::regnamespace, 'pg_namespace')", (schema,)
        ).fetchone()
        parts.append(f"## {title}\n\n{row[0] if row else ''}\n")
        for name, arguments, result, comment in connection.execute(ROUTINES, (schema,)).fetchall():
            parts.append(f"### {schema}.{name}({arguments})\n\nreturns {result}\n\n{comment}\n")
        for oid, _, name, _, comment in connection.execute(RELATIONS, (schema,)).fetchall():
            parts.append(f"### {schema}.{name}\n\n{comment}\n")
            lines = ["| column | type | |", "| --- | --- | --- |"]
            for column, kind, text in connection.execute(COLUMNS, (oid,)).fetchall():
                escaped = (text or "").replace("|", "\\|").replace("\n", " ")
                lines.append(f"| {column} | {kind} | {escaped} |")
            parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)
