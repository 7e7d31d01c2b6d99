#!/bin/sh
# The main job on real-shaped files: sh deploy/demo.sh LOADER
set -eu
loader=$1
run() {
    printf '\n$ loader %s\n' "$*"
    "$loader" "$@"
}
run server start
run db upgrade
run import examples/vedomost/*.csv --encoding cp1251 --timezone Europe/Moscow
run jobs run nightly
# Receipts of two products bring 5 % more than documented; the counts tell. Once accepted, the accounting reckons with it.
printf '\n$ loader server psql -c "select … from bi.surplus_recommendation …, api.accept_surplus(recommendation_id)"\n'
"$loader" server psql -c "
    select r.recommendation_id as id, r.item, round(r.surplus_percent::numeric, 2) as percent, a.pattern_id
    from bi.surplus_recommendation as r
    cross join lateral api.accept_surplus(r.recommendation_id) as a
    where r.decision = 'open'
    order by r.item"
run jobs run nightly
run report
run models create sales --source bi.daily_sales --time time --value sold_kg --key item \
    --options '{"step": "1 day", "aggregate": "sum", "missing": "zero", "time_zone": "Europe/Moscow", "horizon": 14}' ||
    printf '(made by an earlier demo)\n'
run models fit sales
run models evaluate sales
run models forecast sales --series 'СКУМБРИЯ Х/К' --horizon 7
printf '\n$ loader server psql -c "select ..."\n'
"$loader" server psql -c "select item, loss_kg, low_kg, high_kg from api.shrinkage('СКУМБРИЯ Х/К', mass => 13.4, from_age => 13, days => 6)"
