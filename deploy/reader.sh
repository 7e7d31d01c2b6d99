#!/bin/sh
# Runs once, when the image initialises its data: the role Grafana reads with. (The rights of weighhouse_bi come with
# `loader db upgrade`.) On data that are older than this file: run the statements by hand.
set -eu
psql --set=ON_ERROR_STOP=1 --set=password="$GRAFANA_READER_PASSWORD" --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
create role weighhouse_bi nologin;
create role grafana login password :'password' in role weighhouse_bi;
alter role grafana set default_transaction_read_only = on;
alter role grafana set statement_timeout = '30s';
alter role grafana set search_path = bi;
SQL
