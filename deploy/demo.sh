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
# Two products of the sample come with 5 % more than documented, as agreed with the supplier; the accounting must know.
"$loader" server psql -q -t -c "
    select format('surplus of 5 %% specified for %s (%s)', i.item, api.add_surplus_specification(i.item, 0.05, '2025-01-01'))
    from bi.dim_item as i
    where i.item in ('ЛЕЩ ВЯЛЕНАЯ', 'СКУМБРИЯ Х/К')
      and not exists (select from surplus_specifications as s where s.nomenclature_id = i.item_id)"
run fit
run report
run models create sales --source bi.daily_sales --time time --value sold_kg --key item \
    --options '{"step": "1 day", "aggregate": "sum", "missing": "zero", "time_zone": "Europe/Moscow", "horizon": 14}' ||
    printf '(made by an earlier demo)\n'
run models fit sales
run models evaluate sales
run models forecast sales --series 'СКУМБРИЯ Х/К' --horizon 7
printf '\n$ loader server psql -c "select ..."\n'
"$loader" server psql -c "select item, loss_kg, low_kg, high_kg from api.shrinkage('СКУМБРИЯ Х/К', mass => 13.4, from_age => 13, days => 6)"
