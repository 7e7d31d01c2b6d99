"""Every query of the dashboards runs, as the role Grafana reads with, on a shop that has something to show."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import yaml

from tests.conftest import ROOT, copied
from tests.db.quarter import live_a_while

DASHBOARDS = {
    path.stem: json.loads(path.read_text("utf-8"))
    for path in sorted((ROOT / "grafana/dashboards").glob("*.json"))
}
PANELS = [(name, panel["title"]) for name, board in DASHBOARDS.items() for panel in board["panels"]]
# Nothing failed in this shop.
MAY_BE_EMPTY = {"Failed steps"}
SOURCE = yaml.safe_load(
    (ROOT / "grafana/provisioning/datasources/weighhouse.yaml").read_text("utf-8")
)["datasources"][0]


@pytest.fixture(scope="module")
def shop(server_url: str, fitted: str) -> Iterator[psycopg.Connection[Any]]:
    """A shop after some weeks, seen by a role that reads bi and nothing else."""
    with copied(server_url, fitted) as url:
        live_a_while(url)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("set role weighhouse_bi")
            connection.execute("set search_path = bi")
            yield connection


def quoted(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def chosen(board: dict[str, Any], shop: psycopg.Connection[Any]) -> dict[str, list[object]]:
    """What a person would find chosen: the first value of each variable, or all of them."""
    values = {}
    for variable in board["templating"]["list"]:
        rows = [row[0] for row in shop.execute(variable["query"]).fetchall()]
        assert rows, f"nothing to choose of {variable['name']}"
        values[variable["name"]] = rows if variable["includeAll"] else rows[:1]
    if "model" in values:
        values["model"] = ["sales"]
    return values


def written_out(query: str, values: dict[str, list[object]]) -> str:
    """Put values in as Grafana does."""
    for name, given in values.items():
        query = query.replace("${%s:sqlstring}" % name, ", ".join(map(quoted, given)))  # noqa: UP031
        query = query.replace("${%s}" % name, ", ".join(map(str, given)))  # noqa: UP031
    query = re.sub(
        r"\$__timeFilter\((\w+)\)", r"\1 between '2000-01-01T00:00:00Z' and '2100-01-01T00:00:00Z'", query
    )  # fmt: skip
    assert "$" not in query, query
    return query


@pytest.mark.parametrize(("name", "title"), PANELS)
def test_every_panel_shows_something(shop: psycopg.Connection[Any], name: str, title: str) -> None:
    board = DASHBOARDS[name]
    panel = next(panel for panel in board["panels"] if panel["title"] == title)
    values = chosen(board, shop)
    for target in panel["targets"]:
        assert target["datasource"]["uid"] == SOURCE["uid"]
        found = shop.execute(written_out(target["rawSql"], values))
        columns = {column.name: column.type_code for column in found.description or []}
        rows = found.fetchall()
        assert rows or title in MAY_BE_EMPTY, target["rawSql"]
        if target["format"] == "time_series":
            types = shop.adapters.types
            assert columns["time"] == types["timestamptz"].oid
            rest = {name: code for name, code in columns.items() if name not in ("time", "metric")}
            numeric = {types[kind].oid for kind in ("float8", "int8", "int4", "numeric")}
            assert rest and set(rest.values()) <= numeric, columns
            times = [row[0] for row in rows]
            assert times == sorted(times)


def test_dashboards_are_found_where_they_are_said_to_be() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    grafana = compose["services"]["grafana"]
    mounts = dict(volume.split(":")[:2] for volume in grafana["volumes"] if volume.startswith("./"))
    provider = yaml.safe_load(
        (ROOT / "grafana/provisioning/dashboards/weighhouse.yaml").read_text("utf-8")
    )["providers"][0]
    assert mounts["./grafana/dashboards"] == provider["options"]["path"]
    assert mounts["./grafana/provisioning"] == "/etc/grafana/provisioning"
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home.removeprefix(provider["options"]["path"] + "/").removesuffix(".json") in DASHBOARDS
    assert grafana["ports"][0].startswith("127.0.0.1:")
    uids = [board["uid"] for board in DASHBOARDS.values()]
    assert len(set(uids)) == len(uids) >= 4


def test_grafana_reads_with_a_role_that_can_write_nothing() -> None:
    script = (ROOT / "deploy/reader.sh").read_text("utf-8")
    assert f"create role {SOURCE['user']} login" in script
    assert "in role weighhouse_bi" in script
    assert "default_transaction_read_only = on" in script
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    for service in ("db", "grafana"):
        assert "GRAFANA_READER_PASSWORD" in compose["services"][service]["environment"]
    assert SOURCE["secureJsonData"]["password"] == "$GRAFANA_READER_PASSWORD"
    assert "./deploy/reader.sh:" in " ".join(compose["services"]["db"]["volumes"])
