create or replace view bi.models as
select v.id, v.model as name, v.model_type, v.description, v.version, v.created_date, v.status, v.series_count, v.window_start, v.window_end,
    v.duration_seconds, v.created_by, v.deployed_at, v.retired_at, v.data_hash,
    (v.metrics ->> 'mape')::float8 as mape, (v.metrics ->> 'smape')::float8 as smape, (v.metrics ->> 'mase')::float8 as mase,
    (v.metrics ->> 'mase_seasonal_naive')::float8 as mase_seasonal_naive, (v.metrics ->> 'coverage_80')::float8 as coverage_80,
    (v.metrics ->> 'coverage_95')::float8 as coverage_95,
    v.status = 'deployed' and v.created_date < now() - d.time_to_live as is_stale
from core.model_versions as v
inner join core.model_definition as d on d.name = v.model;

comment on view bi.models is 'Which versions the models have, which one is in force, and how well it did when it was last evaluated.';
comment on column bi.models.id is 'Key of the version.';
comment on column bi.models.name is 'Name of the model.';
comment on column bi.models.model_type is 'Kind of model.';
comment on column bi.models.description is 'What it is for.';
comment on column bi.models.version is 'Version, from 1 for each model.';
comment on column bi.models.created_date is 'When it was fitted.';
comment on column bi.models.status is 'trained, deployed (at most one a model), archived, failed.';
comment on column bi.models.series_count is 'Series it can forecast.';
comment on column bi.models.window_start is 'First observation used.';
comment on column bi.models.window_end is 'Last observation used.';
comment on column bi.models.duration_seconds is 'How long the fit took; NULL = not recorded.';
comment on column bi.models.created_by is 'Database role that fitted it.';
comment on column bi.models.deployed_at is 'When it was last put in force; NULL = never.';
comment on column bi.models.retired_at is 'When another took its place; NULL = none did.';
comment on column bi.models.data_hash is 'Hash of data and options: equal hashes are equal fits.';
comment on column bi.models.mape is 'MAPE of the last evaluation, percent; NULL = not evaluated (api.evaluate_model).';
comment on column bi.models.smape is 'sMAPE of the last evaluation, percent.';
comment on column bi.models.mase is 'MASE of the last evaluation; below 1 beats the seasonal naive forecast of the past.';
comment on column bi.models.mase_seasonal_naive is 'The same of the seasonal naive forecast on the same folds.';
comment on column bi.models.coverage_80 is 'Share of actual values inside the 80 % interval, percent; 80 is right.';
comment on column bi.models.coverage_95 is 'Share of actual values inside the 95 % interval, percent; 95 is right.';
comment on column bi.models.is_stale is 'Whether the deployed version is older than the model''s time to live.';
