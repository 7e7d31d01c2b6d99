"""Models that leave the database, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg

from tests.loader.command_line import run


def test_a_model_is_written_to_a_file_whole_or_not_at_all(fresh_url: str, tmp_path: Path) -> None:
    with psycopg.connect(fresh_url) as connection:
        connection.execute("create schema shop")
        connection.execute(
            "create table shop.sale as select '2026-01-01'::date + t as at,"
            " 50.0 + t % 7 as quantity from generate_series(0, 90) as t"
        )
        connection.execute(
            "select * from api.create_model('sales', 'shop.sale', 'at', 'quantity',"
            " kind => 'theta')"
        )
        connection.execute("select * from api.fit_model('sales')")
    file = tmp_path / "sales.json"
    done = run(fresh_url, "models", "export", "sales", "-o", str(file))
    assert done.returncode == 0 and "bytes, json" in done.stdout, done.stderr
    written = json.loads(file.read_text("utf-8"))
    assert written["model"] == "sales" and written["series"][0]["parameters"]
    shown = run(fresh_url, "models", "export", "sales", "--version", "1", "-o", "-")
    assert json.loads(shown.stdout) == written
    # Nothing of its own: the file there was stays.
    refused = run(fresh_url, "models", "export", "sales", "--format", "native", "-o", str(file))
    assert refused.returncode == 4 and "JSON" in refused.stderr
    assert json.loads(file.read_text("utf-8")) == written
    nowhere = run(fresh_url, "models", "export", "sales", "-o", str(tmp_path / "no" / "file"))
    assert nowhere.returncode == 2 and list(tmp_path.iterdir()) == [file]
    with psycopg.connect(fresh_url) as connection:
        connection.execute(
            "with a as (insert into cache.model_artifact (model_name, kind, version, options_hash,"
            " data_hash, header, arrays, native, native_format, signature, label, data_length,"
            " fitted_length) values ('sales', 'boosting', 1, '', '', '{}', '', 'tree', 'lightgbm',"
            " internal.sign_artifact('boosting', 1, '', '{}', '', 'tree'), '', 1, 1) returning id)"
            " update core.model_versions as v set artifact_id = a.id from a where v.model = 'sales'"
        )
    out = tmp_path / "sales.txt"
    native = run(fresh_url, "models", "export", "sales", "--format", "native", "-o", str(out))
    assert native.returncode == 0 and "lightgbm" in native.stdout, native.stderr
    assert out.read_bytes() == b"tree"
    status = json.loads(run(fresh_url, "--json", "cache", "status").stdout)
    assert [row["artifact_count"] for row in status] == [1, 0]
