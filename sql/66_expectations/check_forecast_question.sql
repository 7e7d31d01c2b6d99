create function internal.check_forecast_question(horizon_days int)
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    if horizon_days is not null and horizon_days not between 1 and internal.setting('stock.max_period_days') then
        raise exception 'horizon_days must be 1 to %, not %', internal.setting('stock.max_period_days'), horizon_days
            using errcode = '22023', hint = 'Days from one count to the next; leave it out for what is usual in the warehouse.';
    end if;
    if not exists (select from core.model_versions as m where m.model = 'shrinkage' and m.status = 'deployed') then
        raise exception 'no shrinkage curve is deployed' using errcode = 'ML201', hint = 'Fit them: select * from api.fit_shrinkage();';
    end if;
end
$$;

comment on function internal.check_forecast_question(int) is 'Raises 22023 for an impossible horizon, ML201 where no curve is deployed.';
