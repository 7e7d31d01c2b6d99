-- Who may do what. Roles have no login: people and programs are members. Everything is revoked from PUBLIC first.
--
--                        bi   core   api, reading   api, writing   staging, write core   core.python_module, create in our schemas
--   weighhouse_bi        x
--   weighhouse_analyst   x    x      x
--   weighhouse_fitter    x    x      x              x              x
--   weighhouse_owner     x    x      x              x              x                     x
--
-- None of the four is a superuser: new functions in PL/Python and programs of the server are out of their reach. Who writes
-- core.python_module decides what Python the database runs: the owner alone.
revoke all on schema core, staging, cache, internal, api, bi, dataset from public;
revoke all on all routines in schema internal, api, bi from public;
revoke create on schema public from public;
alter default privileges for role weighhouse_owner revoke execute on routines from public;

grant usage on schema bi to weighhouse_bi, weighhouse_analyst, weighhouse_fitter;
grant select on all tables in schema bi to weighhouse_bi, weighhouse_analyst, weighhouse_fitter;
grant execute on all routines in schema bi to weighhouse_bi, weighhouse_analyst, weighhouse_fitter;

-- Analysts ask: the functions that only read, and the tables by the names users know.
grant usage on schema api, core, internal to weighhouse_analyst, weighhouse_fitter;
grant select on all tables in schema core to weighhouse_analyst, weighhouse_fitter;
grant execute on function api.coefficient(text, timestamptz), api.shrinkage(text, float8, float8, float8), api.check_facts()
to weighhouse_analyst, weighhouse_fitter;
-- A forecast that is not stored is computed from parameters, by the Python of the database.
grant execute on function api.forecast(text, text, int, float8, int, timestamptz), internal.find_model(text), internal.find_version(text, int),
internal.step_time(jsonb, bigint), internal.step_number(jsonb, timestamptz), internal.forecast_models(uuid [], int, float8 []),
internal.missing_in_memory(uuid []), internal.forecast_stored(uuid [], int, float8 [], uuid [], text [], int [], text [], text [], bytea []),
internal.load_code(text)
to weighhouse_analyst, weighhouse_fitter;
-- Tables of datasets are made and dropped by functions with the rights of weighhouse_owner alone, and read by those who read core.
grant usage on schema dataset to weighhouse_analyst, weighhouse_fitter;
grant usage on schema cache to weighhouse_analyst, weighhouse_fitter;
grant select on all tables in schema cache to weighhouse_analyst, weighhouse_fitter;
grant execute on function internal.find_item(text), internal.name_key(text), internal.normalize_name(text), internal.setting(text),
internal.batch_loss(text, float8, float8, float8, float8, float8), internal.check_shrinkage_question(float8, float8, float8)
to weighhouse_analyst, weighhouse_fitter;
-- What to reckon with for a product without periods of its own.
grant execute on function api.suggested_coefficient(text) to weighhouse_analyst, weighhouse_fitter;
-- Browsing: the lists and what they are made of.
grant execute on function api.search(text, text [], int), api.list_items(text, text, text, timestamptz, timestamptz, int, text),
api.list_periods(text, text, text, timestamptz, timestamptz, text, text, text, boolean, int, int, text),
api.list_errors(text, text, text, timestamptz, timestamptz, text, text, text, text, int, boolean, int, text),
api.list_imports(text, text, timestamptz, timestamptz, boolean, boolean, int, text),
api.list_coefficients(text, text, int, text, text, text, timestamptz, timestamptz, int, text),
api.list_forecasts(text, text, text, timestamptz, timestamptz, text, boolean, int, text),
api.list_recommendations(text, text, text, timestamptz, timestamptz, int, text),
api.list_patterns(text, text, text, float8, timestamptz, timestamptz, int, text),
api.list_surplus_patterns(text, text, boolean, timestamptz, timestamptz, int, text),
api.list_specifications(text, text, boolean, date, int, text),
api.list_movements(text, text, text, timestamptz, timestamptz, text, text, int, int, text),
api.list_balances(text, text, text, timestamptz, timestamptz, int, int, text),
api.list_priority_periods(boolean, timestamptz, timestamptz, int, text),
api.list_changes(text, text, text, text, timestamptz, timestamptz, int, text),
api.coefficient_history(text), api.compare_coefficients(text, int, int), internal.find_coefficient(text, int),
internal.curve_loss_error(text, float8, float8, float8, float8, float8, float8, float8), internal.cursor(timestamptz, bigint, bigint),
internal.cursor_number(text, int), internal.cursor_time(text), internal.page_size(int), internal.one_of(text, text [], text),
internal.find_warehouse(text), internal.find_type(text), internal.search_query(text), internal.search_words(text), internal.check_search(text, text [], int),
internal.find_errors(text, text, text, timestamptz, timestamptz, text, text, text, text, int, boolean)
to weighhouse_analyst, weighhouse_fitter;
-- What norms allow.
grant execute on function api.norm_percent(int, float8), api.norm_loss(text, text, date, date), internal.find_norm(int), internal.check_days(date, date)
to weighhouse_analyst, weighhouse_fitter;
-- Whether everything is as it should be.
grant execute on function api.health(text) to weighhouse_analyst, weighhouse_fitter;

-- Alerts are read by all who read; where they are sent may be a secret.
grant execute on function api.list_alerts(text, text, text, text, timestamptz, timestamptz, int, text) to weighhouse_analyst, weighhouse_fitter;
revoke select on core.webhook from weighhouse_analyst;

-- Why a model would be retrained.
grant execute on function api.retraining_reasons(text) to weighhouse_analyst, weighhouse_fitter;

-- What was not to be expected, what moved, how models did, and what is stored of them.
grant execute on function api.list_anomalies(text, text, text, text, timestamptz, timestamptz, int, text),
api.explain_change(text, text, text [], text, timestamptz, timestamptz, timestamptz, timestamptz, int),
api.explain_model_change(text, timestamptz, timestamptz, timestamptz, timestamptz, int),
internal.explain_segments(core.model_definition, timestamptz, timestamptz, timestamptz, timestamptz, int),
internal.source_clause(core.model_definition), api.metric_trend(text, text, int), api.metric_summary(text, int),
api.list_artifacts(text, text, text, int, text), api.export_model(text, int), api.export_native(text, int), internal.fit_run(int),
internal.is_signed_model(text, int, text, text, bytea),
internal.export_arrays(uuid, text, int, text, text, bytea, bytea, bytea, int),
internal.export_native(uuid, text, int, text, text, bytea, bytea, bytea)
to weighhouse_analyst, weighhouse_fitter;

-- What was uploaded.
grant execute on function api.list_datasets(text, text, text, int, text), api.show_dataset(text, int, text), api.diff_datasets(text, int, int, text),
internal.find_dataset(text, int, text, boolean), internal.source_dataset(core.model_definition)
to weighhouse_analyst, weighhouse_fitter;

-- Rows are predicted with what is stored, by the Python of the database.
grant execute on function api.predict(text, jsonb, int), api.predict_rows(text, text, int), internal.find_table_version(text, int),
internal.named_source(core.model_definition, text), internal.source_clause(core.model_definition), internal.source_columns(text),
internal.column_family(regtype), internal.number_expression(text, regtype, text, text), internal.table_zone(core.model_definition),
internal.setting_text(text), internal.load_artifact(uuid, boolean), internal.artifact_in_memory(uuid),
internal.hold_artifact(uuid, text, int, text, text, bytea, bytea, text, bytea, boolean),
internal.score_row(text, uuid, jsonb), internal.score_rows(text, uuid, text [], text [], bytea [], text [], int)
to weighhouse_analyst, weighhouse_fitter;

-- Fitters bring files in, account and fit.
grant usage on schema staging, cache to weighhouse_fitter;
grant select, insert, update, delete, truncate on all tables in schema staging to weighhouse_fitter;
grant select, insert, update, delete on all tables in schema core to weighhouse_fitter;
grant insert, update, delete on all tables in schema cache to weighhouse_fitter;
-- The audit trail is written by triggers alone.
revoke insert, update, delete on core.python_module, core.release, core.revision, core.audit_log from weighhouse_fitter;
grant usage on all sequences in schema core to weighhouse_fitter;
grant execute on all routines in schema api, internal to weighhouse_fitter;
