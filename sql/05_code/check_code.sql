-- A module that cannot be imported must be found by the upgrade that brings it, not by the first fit afterwards.
create function internal.check_code()
returns int
language plpython3u volatile
set search_path = pg_catalog, pg_temp
as $python$
import importlib
import marshal
import sys
import traceback

rows = plpy.execute("select name from core.python_module order by name")
for row in rows:
    try:
        importlib.import_module(row["name"])
    except Exception as error:
        places = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
        if isinstance(error, SyntaxError):
            places.append((error.filename, error.lineno))
        module, line = row["name"], 1
        for filename, number in places:
            if filename and filename.startswith("<core.python_module "):
                module, line = filename[len("<core.python_module "):-1], number - 1
        plpy.error(
            f"{module}:{line}: {type(error).__name__}: {getattr(error, 'msg', error)}",
            detail=f"Found while importing {row['name']}.",
            sqlstate="ML902",
        )
    else:
        plpy.execute(
            plpy.prepare(
                "update core.python_module set bytecode = $2, interpreter = $3 where name = $1", ["text", "bytea", "text"]
            ),
            [row["name"], marshal.dumps(sys.modules[row["name"]].__spec__.loader.code(row["name"])), sys.version],
        )
return len(rows)
$python$;

comment on function internal.check_code() is
'Imports every Python module stored in the database once, and keeps it compiled; returns how many.

Raises ML902 naming the module and line that cannot be imported. loader db upgrade ends with it.';
