"""The first look at what was imported: what a trader wants to see on day one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg


@dataclass(frozen=True)
class Section:
    """One table of the report."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: list[Any]


QUERIES: tuple[tuple[str, str, str], ...] = (
    (
        "stock",
        "Stock and counts",
        """
        select count(distinct item_id) as products, count(distinct warehouse_id) as warehouses
             , count(*) filter (where mode <> 'open') as periods
             , count(*) filter (where mode = 'posted') as posted
             , count(*) filter (where mode = 'counted') as counted
             , count(*) filter (where mode = 'open') as still_open
             , round(sum(shortage_kg)::numeric, 3) as kg_short
             , round(sum(surplus_kg)::numeric, 3) as kg_over
             , count(*) filter (where is_in_review) as in_review
        from bi.balance
        """,
    ),
    (
        "causes",
        "Where the shortage went, kg",
        """
        select coalesce(c.product_type, 'all') as type
             , round(sum(c.shortage_kg)::numeric, 3) as kg_short
             , round(sum(least(c.shortage_kg, c.expected_kg))::numeric, 3) as drying
             , round(sum(c.shortage_kg - least(c.shortage_kg, c.expected_kg) - c.unexplained_kg)
                     ::numeric, 3) as within_doubt
             , round(sum(c.unexplained_kg)::numeric, 3) as unexplained
             , round(sum(c.within_norm_kg)::numeric, 3) as within_norm
             , round(sum(c.above_norm_kg)::numeric, 3) as above_norm
             , round(sum(c.surplus_kg)::numeric, 3) as kg_over
        from bi.shrinkage_by_cause as c
        where c.expected_kg is not null
        group by rollup (c.product_type)
        order by grouping(c.product_type), sum(c.shortage_kg) desc
        """,
    ),
    (
        "surplus",
        "Receipts that bring more (or less) than documented: api.accept_surplus(id)",
        """
        select recommendation_id as id, item as product, meaning
             , round(surplus_percent::numeric, 2) as percent
             , round((196 * standard_error)::numeric, 2) as give_or_take
             , round(confidence::numeric, 2) as confidence, period_count as periods, method
        from bi.surplus_recommendation
        where decision = 'open'
        order by abs(surplus) desc
        """,
    ),
    (
        "next_count",
        "What the next count should find missing by drying, kg: the ten largest",
        """
        select item as product, warehouse, time as counted, round(stock_kg::numeric, 3) as in_stock
             , round(expected_kg::numeric, 3) as expected, round(low_kg::numeric, 3) as low
             , round(high_kg::numeric, 3) as high
             , round(expected_as_usual_kg::numeric, 3) as with_usual_trade
             , round(confidence::numeric, 2) as confidence
        from bi.next_count
        order by greatest(expected_kg, expected_as_usual_kg) desc nulls last
        limit 10
        """,
    ),
    (
        "by_type",
        "Loss by product type",
        """
        select s.warehouse, s.product_type as type, s.item_count as products
             , s.period_count as periods
             , round(s.shortage_kg::numeric, 3) as kg_short
             , round(s.surplus_kg::numeric, 3) as kg_over
             , round(s.shortage_percent_of_available::numeric, 2) as percent_of_available
             , round(s.shortage_grams_per_kg_day::numeric, 2) as grams_per_kg_day
             , f.family as curve
             , case when f.b_is_identified then 'from the data' else 'default: ' || f.reason end
               as shape
        from bi.shrinkage_by_type as s
        left join bi.fit_by_type as f using (product_type)
        order by s.warehouse, s.shortage_kg desc
        """,
    ),
    (
        "coefficients",
        "Coefficients (a, b in 1/day, c; loss of a fresh batch in percent)",
        """
        select item as product, product_type as type, family as curve
             , round(a::numeric, 4) as a, round(se_a::numeric, 4) as se_a, round(b::numeric, 4) as b
             , round(c::numeric, 5) as c
             , round(loss_percent_7_days::numeric, 2) as days_7
             , round(loss_percent_14_days::numeric, 2) as days_14
             , round(loss_percent_30_days::numeric, 2) as days_30
             , period_count as periods, round(age_max_days::numeric, 0) as ages_to, outcome
        from bi.coefficient
        order by product_type, item
        limit 100
        """,
    ),
    (
        "holdout",
        "Hold-out: counts predicted by a fit on the periods before, WAPE in percent",
        """
        with held_out as (
            select *, 100 * mae * n / nullif(wape_model, 0) as found_kg from bi.fit_holdout
        ), measured as (
            select product_type, n, wape_model, wape_type_rate, wape_last_percent, mae, mbe
            from held_out
            union all
            select null, sum(n), 100 * sum(mae * n) / sum(found_kg)
                 , sum(wape_type_rate * found_kg) / sum(found_kg)
                 , sum(wape_last_percent * found_kg) / sum(found_kg), sum(mae * n) / sum(n)
                 , sum(mbe * n) / sum(n)
            from held_out
            having count(*) > 1
        )
        select coalesce(product_type, 'all') as type, n as counts
             , round(wape_model::numeric, 1) as curve
             , round(wape_type_rate::numeric, 1) as type_rate
             , round(wape_last_percent::numeric, 1) as same_as_last
             , round(mae::numeric, 3) as mae_kg, round(mbe::numeric, 3) as bias_kg
             , case when wape_model < least(wape_type_rate, wape_last_percent) then 'yes'
                    else 'no' end as beats_both
        from measured
        order by product_type nulls last
        """,
    ),
    (
        "unexplained",
        "Largest losses that drying does not explain",
        """
        select item as product, time as counted, round(shortage_kg::numeric, 3) as kg_short
             , round(expected_kg::numeric, 3) as drying
             , round(explained_up_to_kg::numeric, 3) as explained_up_to
             , round(unexplained_kg::numeric, 3) as unexplained, flags
        from bi.shrinkage_unexplained
        where unexplained_kg > 0
        order by unexplained_kg desc
        limit 10
        """,
    ),
    (
        "patterns",
        "What stands out",
        """
        select subtype as kind, item as product, description
             , round(confidence::numeric, 2) as confidence
        from bi.pattern
        where status = 'open'
        order by confidence desc nulls last, pattern_id
        limit 10
        """,
    ),
    (
        "review",
        "To look at",
        """
        select severity, flag, count(*) as findings
             , string_agg(distinct coalesce(item, file_name), ', '
                          order by coalesce(item, file_name)) as where
        from bi.review
        where severity in ('medium', 'high', 'critical')
        group by severity, flag
        order by severity, flag
        """,
    ),
)


def first_look(connection: psycopg.Connection[Any]) -> list[Section]:
    """Ask the views; a section without rows is left out."""
    sections = []
    for name, title, query in QUERIES:
        cursor = connection.execute(query)
        assert cursor.description is not None
        columns = tuple(column.name for column in cursor.description)
        rows = cursor.fetchall()
        if rows:
            sections.append(Section(name, title, columns, rows))
    return sections
