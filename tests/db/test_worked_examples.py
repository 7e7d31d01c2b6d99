"""Worked examples of the domain where the database computes them; numbers from worked_examples.json."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from loader import ingest
from loader.reading import ReadOptions
from tests.conftest import EXAMPLES, ROOT
from tests.db import domain
from tests.db.domain import Connection, balance, movement

EXAMPLE = {
    example["id"]: example
    for example in json.loads((ROOT / "tests/data/worked_examples.json").read_text("utf-8"))["examples"]
}  # fmt: skip
ITEM = "СКУМБРИЯ"


def given(name: str) -> tuple[dict[str, Any], dict[str, Any], float]:
    example = EXAMPLE[name]
    return example["inputs"], example["expected"], max(example["tolerance_abs"], 1e-9)


def test_the_copy_is_the_reference(shared_data: Any) -> None:
    reference = json.loads((shared_data / "worked_examples.json").read_text("utf-8"))
    assert list(EXAMPLE.values()) == reference["examples"]


def test_e01_balances_whose_count_is_not_posted(db: Connection) -> None:
    inputs, expected, tolerance = given("E01")
    domain.balances(
        db,
        balance(ITEM, inputs["initial"], inputs["incoming"], inputs["outgoing"], inputs["final_counted"]),
    )  # fmt: skip
    domain.account(db)
    row = domain.one(db, "select * from bi.balance")
    assert row["mode"] == "counted"
    assert row["book_kg"] == pytest.approx(expected["book"], abs=tolerance)
    assert row["shortage_kg"] == pytest.approx(expected["shortage"], abs=tolerance)
    assert row["surplus_kg"] == expected["surplus"]
    assert row["shortage_percent_of_opening"] == pytest.approx(
        expected["pct_of_initial"], abs=tolerance
    )
    assert row["shortage_percent_of_available"] == pytest.approx(
        expected["pct_of_available"], abs=tolerance
    )


def test_e02_posted_stock_take(db: Connection) -> None:
    inputs, expected, tolerance = given("E02")
    domain.open_stock(db, ITEM, inputs["initial"], "2025-07-15 00:00:00")
    for day, document in enumerate(inputs["documents"], 15):
        if document["type"] == "sale":
            domain.sell(db, ITEM, document["out"], f"2025-07-{day} 21:00:00")
        else:
            domain.count(db, ITEM, -document["out"], f"2025-07-{day} 22:00:00")
    domain.account(db)
    row = domain.one(db, "select * from bi.balance where mode <> 'open'")
    assert row["mode"] == expected["mode"]
    assert row["outgoing_kg"] == pytest.approx(expected["sales"], abs=tolerance)
    assert row["shortage_kg"] == pytest.approx(expected["shrinkage"], abs=tolerance)
    assert row["book_kg"] == pytest.approx(expected["book_before_count"], abs=tolerance)
    assert row["closing_kg"] == pytest.approx(inputs["final"], abs=tolerance)
    assert 100 * row["shortage_kg"] / row["book_kg"] == pytest.approx(
        expected["pct_of_book"], abs=tolerance
    )
    residual = row["opening_kg"] + row["incoming_kg"] - row["outgoing_kg"] - row["shortage_kg"]
    assert residual - row["closing_kg"] == pytest.approx(
        expected["identity_residual"], abs=tolerance
    )


def test_e03_a_difference_within_tolerance_is_kept_raw(db: Connection) -> None:
    inputs, expected, tolerance = given("E03")
    domain.balances(db, balance(ITEM, inputs["initial"], 0, inputs["sales"], inputs["counted"]))
    domain.account(db)
    (period,) = domain.closed(db, ITEM)
    assert float(period["difference_kg"]) == pytest.approx(expected["diff"], abs=tolerance)
    assert float(period["inventory_shrinkage_total"]) == expected["shrinkage_for_model"]
    assert float(period["surplus_kg"]) == expected["surplus_for_model"]


def play(db: Connection, name: str) -> None:
    """Tell the events of a FIFO example, an hour apart."""
    inputs, _, _ = given(name)
    for layer in inputs["opening"]:
        domain.open_stock(db, ITEM, layer["kg"], "2025-07-15 08:00:00", batch=layer["batch"])
    clock = "2025-07-17" if name == "E04" else "2025-07-15"
    for hour, event in enumerate(inputs["events"], 13):
        kind = event["type"]
        # The sale before the receipt of E04 is a day earlier, that the receipt may keep its date.
        day = "2025-07-16" if name == "E04" and hour == 13 else clock
        at = event["batch"] + " 12:00:00" if kind == "receipt" else f"{day} {hour}:00:00"
        domain.move(db, movement(kind, ITEM, event["kg"], at))


@pytest.mark.parametrize("name", ["E04", "E05"])
def test_e04_e05_fifo_layers(db: Connection, name: str) -> None:
    _, expected, tolerance = given(name)
    play(db, name)
    domain.account(db)
    (period,) = domain.closed(db, ITEM)
    assert domain.layers(period) == pytest.approx(
        {f"{layer['batch']} 12:00:00": layer["kg"] for layer in expected["layers"]}, abs=tolerance
    )
    assert float(period["final_balance"]) == pytest.approx(expected["closing"], abs=tolerance)
    assert f"{period['actual_deduction_batch']:%F}" == expected["actual_deduction_batch"]
    assert period["fifo_principle_applied"]


def test_e05_the_last_sale_crosses_two_layers(db: Connection) -> None:
    inputs, expected, tolerance = given("E05")
    play(db, "E05")
    domain.account(db)
    (period,) = domain.closed(db, ITEM)
    out = {layer["batch"][:10]: layer["out"] for layer in period["fifo_batch_sequence"]}
    old, new = expected["last_sale_split"]
    # The old batch ends with that sale; the new one loses the rest of it, and the shortage.
    assert out[old["batch"]] == pytest.approx(inputs["opening"][0]["kg"], abs=tolerance)
    assert out[new["batch"]] == pytest.approx(new["kg"] - inputs["events"][-1]["kg"], abs=tolerance)
    # -old at the last sale, in the terms of the period.
    assert min(
        abs(mass + old["kg"]) for mass in period["term_mass"]
    ) == pytest.approx(0, abs=tolerance)  # fmt: skip


def test_e06_not_enough_stock(db: Connection) -> None:
    inputs, expected, tolerance = given("E06")
    for day, layer in enumerate(inputs["opening"], 1):
        domain.open_stock(db, ITEM, layer["kg"], "2025-01-06", batch=f"2025-01-0{day}")
    domain.sell(db, ITEM, inputs["issue"], "2025-01-07")
    domain.count(db, ITEM, 0.0, "2025-01-12")
    domain.account(db)
    period = domain.closed(db, ITEM)[0]
    assert [layer["out"] for layer in period["fifo_batch_sequence"]] == pytest.approx(
        [layer["kg"] for layer in expected["allocated"]], abs=tolerance
    )
    assert period["outgoing"] - period["initial_balance"] == expected["unallocated"]
    assert set(expected["flags"]) <= set(period["flags"])
    assert not period["fifo_principle_applied"]
    assert not period["is_valid_inventory_period"]


def test_e07_mass_weighted_storage_days(db: Connection) -> None:
    inputs, expected, _ = given("E07")
    for layer in inputs["layers"]:
        domain.receive(db, ITEM, layer["kg"], layer["batch"])
    domain.count(db, ITEM, 0.0, inputs["count_date"])
    domain.count(db, ITEM, -0.001, inputs["count_date"] + " 12:00:01")
    domain.account(db)
    period = domain.closed(db, ITEM)[0]
    assert period["storage_days"] == expected["storage_days"]


def test_e08_the_curve(db: Connection) -> None:
    inputs, expected, tolerance = given("E08")
    found = [
        domain.value(
            db, "select bi.curve_loss('exp_linear', %s, %s, %s, %s)",
            inputs["a"], inputs["b"], inputs["c"], t,
        )
        for t in inputs["t"]
    ]  # fmt: skip
    assert found == pytest.approx(expected["S"], abs=tolerance)
    assert inputs["mass_kg"] * found[1] == pytest.approx(expected["loss_kg_t7"], abs=tolerance)


def test_e10_exact_accounting_of_one_batch(db: Connection) -> None:
    inputs, expected, tolerance = given("E10")
    sale, count = inputs["sale"], inputs["count_day"]
    found = domain.value(
        db,
        "select bi.expected_loss('exp', %s, %s, %s, %s::float8[], %s::float8[], %s::float8[])",
        inputs["a"], inputs["b"], inputs["c"], [inputs["received_kg"], -sale["kg"]],
        [0, sale["day"]], [count, count],
    )  # fmt: skip
    assert found == pytest.approx(expected["shortage"], abs=tolerance)


def test_e11_pre_shrinkage(db: Connection) -> None:
    inputs, expected, tolerance = given("E11")
    curve = (inputs["a"], inputs["b"], inputs["c"])
    age, days = inputs["pre_shrinkage_days"], inputs["period_days"]
    rate = domain.value(
        db, "select internal.batch_loss('exp_linear', %s, %s, %s, %s, %s)", *curve, age, days
    )
    assert rate == pytest.approx(expected["adjusted_shrinkage_rate"], abs=tolerance)
    restarted = domain.value(
        db, "select internal.batch_loss('exp_linear', %s, %s, %s, 0, %s)", *curve, days
    )
    assert rate / restarted == pytest.approx(expected["pre_shrinkage_factor"], abs=tolerance)
    assert rate / days == pytest.approx(expected["effective_shrinkage_rate_per_day"], abs=tolerance)

    # The same from facts, with this curve in force.
    domain.open_stock(db, ITEM, inputs["mass_at_period_start_kg"], "2025-07-14", batch="2025-07-01")
    domain.count(db, ITEM, -0.1, "2025-07-20")
    domain.account(db)
    db.execute(
        "insert into core.model_versions (model, model_type, version, status, deployed_at) values ('shrinkage', 'x', 1, 'deployed', now())"
    )
    db.execute(
        "insert into core.coefficients (model_id, nomenclature_id, coefficient_a, coefficient_b,"
        " coefficient_c, family, outcome) select m.id, n.id, %s, %s, %s, 'exp_linear', 'fitted'"
        " from core.model_versions as m cross join core.nomenclature as n",
        curve,
    )
    assert domain.value(db, "select internal.fill_expectations()") == 2
    (period,) = domain.closed(db, ITEM)
    assert period["pre_shrinkage_days"] == pytest.approx(age, abs=tolerance)
    assert period["adjusted_shrinkage_rate"] == pytest.approx(rate, abs=tolerance)
    # Stored to the gram.
    assert float(period["pre_shrinkage_amount"]) == pytest.approx(
        expected["pre_shrinkage_amount"], abs=0.0005 + tolerance
    )
    assert float(period["initial_balance"]) * rate == pytest.approx(
        expected["period_shrinkage"], abs=tolerance
    )


def test_e18_surplus_applies_to_receipts(db: Connection) -> None:
    inputs, expected, tolerance = given("E18")
    row = balance(
        ITEM, inputs["initial"], inputs["documented_incoming"], inputs["outgoing"],
        inputs["final_counted"],
    )  # fmt: skip
    domain.balances(db, row)
    domain.account(db)
    naive = domain.one(db, "select * from bi.balance")
    assert naive["book_kg"] - naive["closing_kg"] == pytest.approx(
        expected["naive_shortage"], abs=tolerance
    )
    assert "surplus_over_tolerance" in naive["flags"]
    domain.surplus(db, ITEM, inputs["surplus_percentage"])
    domain.account(db)
    found = domain.one(db, "select * from bi.balance")
    assert found["shortage_kg"] == pytest.approx(expected["shortage"], abs=tolerance)
    assert found["shortage_percent_of_available"] == pytest.approx(
        expected["pct_of_available"], abs=tolerance
    )
    (period,) = domain.closed(db, ITEM)
    assert float(period["incoming"] + period["surplus_applied_kg"]) == pytest.approx(
        expected["actual_incoming"], abs=tolerance
    )


def test_e23_human_error_probability(db: Connection) -> None:
    inputs, expected, tolerance = given("E23")
    weights = dict(
        db.execute(
            "select flag, human_error_weight from core.quality_flag where human_error_weight <> 0"
        ).fetchall()
    )
    assert weights == inputs["weights"]
    found = [
        domain.value(db, "select internal.human_error_probability(%s::text[])", flags)
        for flags in inputs["cases"]
    ]
    assert found == pytest.approx(expected["p"], abs=tolerance)
    review = [
        p >= domain.value(db, "select internal.setting('quality.review_probability')::float8")
        for p in found
    ]
    assert review == expected["manual_review"]


def test_e24_inventory_confidence(db: Connection) -> None:
    inputs, expected, tolerance = given("E24")
    sigma = domain.value(
        db, "select internal.count_sigma(%s::numeric)", inputs["count_resolution_kg"]
    )
    assert sigma == pytest.approx(expected["sigma_count"], abs=tolerance)
    confidence = domain.value(
        db, "select internal.inventory_confidence(%s, %s, %s, %s, %s, %s, %s)",
        inputs["start_inventory"], inputs["end_inventory"], inputs["period_days"], sigma,
        inputs["shortage"], inputs["human_error_probability"], inputs["min_days"],
    )  # fmt: skip
    assert confidence == pytest.approx(expected["inventory_confidence"], abs=tolerance)


def test_e24_resolution_of_the_counts_of_a_type(db: Connection) -> None:
    # Counted to 50 g while sales move in 2 g steps, as the note of the example says.
    _, expected, tolerance = given("E24")
    for item, closing in (("ТРЕСКА МОРОЖЕНАЯ", 4.35), ("МИНТАЙ МОРОЖЕНЫЙ", 2.1)):
        domain.open_stock(db, item, closing + 0.552, "2025-01-05")
        domain.sell(db, item, 0.478, "2025-01-08")
        domain.count(db, item, -0.074, "2025-01-12")
    domain.account(db)
    sigmas = {period["count_sigma_kg"] for period in domain.rows(
        db, "select count_sigma_kg from core.calculation_data"
    )}  # fmt: skip
    assert len(sigmas) == 1
    assert sigmas.pop() == pytest.approx(expected["sigma_count"], abs=tolerance)


def test_e28_a_short_history_is_drawn_toward_its_type(db: Connection) -> None:
    inputs, expected, _ = given("E28")
    # Eight days of 2.491 kg are the exposure of the example; the other product gives the type its
    # rate: (0.304 + 5.397) kg / (19.928 + 800) kg-days = 0.0069530.
    for item, kg, lost in (("ЛЕЩ С/С", 2.491, inputs["shortage"]), ("СУДАК С/С", 100.0, 5.397)):
        domain.open_stock(db, item, kg, "2025-01-05 12:00:00", batch="2025-01-05 12:00:00")
        domain.count(db, item, -lost, "2025-01-13 12:00:00")
    domain.account(db)
    assert domain.periods(db, "ЛЕЩ С/С")[0]["kg_days"] == pytest.approx(inputs["exposure_kg_days"])
    levels = []
    for kappa in (0, inputs["kappa_kg_days"]):
        domain.fit(db, family="exp", kappa=kappa)
        levels.append(domain.value(db, "select a from bi.coefficient where item = 'ЛЕЩ С/С'"))
    raw = inputs["shortage"] / inputs["exposure_kg_days"]
    assert raw == pytest.approx(expected["raw_rate"], abs=1e-9)
    assert levels[1] / levels[0] * raw == pytest.approx(expected["pooled_rate"], abs=1e-6)


def test_e29_numbers(db: Connection) -> None:
    inputs, expected, tolerance = given("E29")
    found = [
        domain.value(db, "select internal.parse_number(%s)::float8", text)
        for text in inputs["numbers"]
    ]
    for text, was, number in zip(inputs["numbers"], found, expected["numbers"], strict=True):
        assert (was is None) == (number is None), text
        assert number is None or was == pytest.approx(number, abs=tolerance), text


def test_e29_dates(db: Connection) -> None:
    inputs, expected, _ = given("E29")
    found = [
        domain.value(db, "select (internal.parse_timestamp(%s)).local_time", text)
        for text in inputs["dates"]
    ]
    assert found == [datetime.fromisoformat(text) for text in expected["dates"]]


def test_e30_totals_of_a_statement(fresh_url: str) -> None:
    inputs, expected, _ = given("E30")
    result = ingest.import_file(
        fresh_url,
        str(EXAMPLES / inputs["file"]),
        ReadOptions(encoding=inputs["encoding"]),
        ingest.ImportOptions(time_zone=domain.ZONE),
    )
    assert (result.rejected, result.layout) == (0, "statement")
    with domain.connect(fresh_url) as db:
        found = domain.one(
            db,
            "select count(*) as skus, count(distinct n.item_group) as groups,"
            " sum(b.opening_kg)::float8 as opening, sum(b.incoming_kg)::float8 as incoming,"
            " sum(b.outgoing_kg)::float8 as outgoing, sum(b.closing_kg)::float8 as closing"
            " from core.stock_balances as b inner join core.nomenclature as n on n.id = b.nomenclature_id",
        )
        found["stock_take_net"] = domain.value(
            db,
            "select sum(in_kg - out_kg)::float8 from core.stock_movements"
            " where operation = 'stock_take'",
        )
        found["product_documents"] = domain.value(
            db,
            "select count(*) from (select distinct nomenclature_id, operation, document_number,"
            " posted_at from core.stock_movements) as d",
        )
    assert found == pytest.approx(expected)


def test_e31_types_from_names(db: Connection) -> None:
    inputs, expected, _ = given("E31")
    found = [
        domain.value(db, "select (internal.classify_product(%s)).product_type", name)
        for name in inputs["names"]
    ]
    assert dict(zip(inputs["names"], found, strict=True)) == dict(
        zip(inputs["names"], expected["types"], strict=True)
    )
