create function api.retraining_reasons(model text default null)
returns table (model_name text, reason text, value float8, threshold float8, is_due boolean)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    if model is not null then
        perform internal.find_model(model);
    end if;
    return query
    select r.model, r.reason, r.value, r.threshold, r.is_due and r.is_active
    from bi.retraining_due as r
    where retraining_reasons.model is null or r.model = retraining_reasons.model
    order by r.model, r.is_due desc, r.reason;
end
$$;

comment on function api.retraining_reasons(text) is
'Lists why a model would be retrained by itself, due reasons first; asked for by hand it always is.

model: NULL = all with a version in force. value and threshold: percent, days, observations; NULL = a yes or no, or not known. is_due:
false for all reasons of a model whose policy is not active. Raises 22023 for an unknown model.
Example: select * from api.retraining_reasons() where is_due;';
