-- The one PL/Python function that reads a table: it loads the package the others import. Each wrapper calls it when this
-- session has not loaded the wrapper's version of the code yet (loader/schema.py, bind_code).
create function internal.load_code(sha256 text)
returns void
language plpython3u stable parallel safe
set search_path = pg_catalog, pg_temp
as $load$
import linecache
import marshal
import sys
from importlib.machinery import ModuleSpec

rows = plpy.execute("select name, source, is_package, sha256, bytecode, interpreter from core.python_module")
modules = {row["name"]: row for row in rows}
if not modules or any(not row["sha256"].startswith(sha256) for row in modules.values()):
    plpy.error(
        "the code of this statement was replaced by an upgrade",
        sqlstate="ML901",
        hint="Run it again in a new transaction.",
    )


class Database:
    """Finds the modules stored in core.python_module, and loads them.

    It inherits nothing: importlib.abc imports much, and a session pays for it in its first call.
    """

    def find_spec(self, name, path=None, target=None):
        row = modules.get(name)
        if row is None:
            return None
        origin = f"<core.python_module {name}>"
        return ModuleSpec(name, self, origin=origin, is_package=row["is_package"])

    def create_module(self, spec):
        return None

    def code(self, name):
        row = modules[name]
        # PL/Python takes its own first line off every line number of an error; this one makes up for it.
        source = "\n" + row["source"]
        origin = f"<core.python_module {name}>"
        linecache.cache[origin] = (len(source), None, source.splitlines(True), origin)
        # Compiled by the upgrade: to do so anew would be a good part of a session's first call.
        if row["bytecode"] is not None and row["interpreter"] == sys.version:
            return marshal.loads(row["bytecode"])
        return compile(source, origin, "exec")

    def exec_module(self, module):
        exec(self.code(module.__name__), module.__dict__)


sys.meta_path[:] = [f for f in sys.meta_path if type(f).__name__ != Database.__name__]
sys.meta_path.insert(0, Database())
for name in [n for n in sys.modules if n == "weighhouse" or n.startswith("weighhouse.")]:
    del sys.modules[name]
for key in [k for k in GD if isinstance(k, str) and len(k) == 16]:
    del GD[key]
GD[sha256] = True
$load$;

comment on function internal.load_code(text) is
'Loads the Python stored in the database into this session.

sha256: first 16 digits of the hash the caller was built with. Raises ML901 when the stored code is another: an upgrade
came between; a new transaction meets both in step.';
