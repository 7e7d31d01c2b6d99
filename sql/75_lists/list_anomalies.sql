create function api.list_anomalies(
    model text default null, series text default null, status text default null, method text default null, from_time timestamptz default null,
    to_time timestamptz default null, page_size int default 50, after text default null
)
returns table (
    at timestamptz, anomaly_id bigint, model text, series text, actual float8, expected float8, score float8, threshold float8, method text,
    version int, status text, found_at timestamptz, acknowledged_at timestamptz, acknowledged_by text, resolved_at timestamptz, notes text, cursor text
)
language sql stable
begin atomic
    select a.target_time, a.id, a.model, s.label, a.actual, a.expected, a.score, a.threshold, a.method, a.version, a.status, a.found_at,
        a.acknowledged_at, a.acknowledged_by, a.resolved_at, a.notes, internal.cursor(a.target_time, a.id)
    from core.anomaly as a
    inner join core.model_series as s on s.id = a.series_id
    where (list_anomalies.model is null or a.model = (select d.name from internal.find_model(list_anomalies.model) as d))
      and (list_anomalies.series is null or s.label = list_anomalies.series)
      and (list_anomalies.status is null or a.status = (
          select internal.one_of(list_anomalies.status, '{open,acknowledged,resolved}', 'status')
      ))
      and (list_anomalies.method is null or a.method = (select internal.one_of(list_anomalies.method, '{forecast,history}', 'method')))
      and (list_anomalies.from_time is null or a.target_time >= list_anomalies.from_time)
      and (list_anomalies.to_time is null or a.target_time < list_anomalies.to_time)
      and (a.target_time, a.id) < (internal.cursor_time(list_anomalies.after), internal.cursor_number(list_anomalies.after, 2))
    order by a.target_time desc, a.id desc
    limit internal.page_size(list_anomalies.page_size);
end;

comment on function api.list_anomalies(text, text, text, text, timestamptz, timestamptz, int, text) is
'Pages through anomalies of the series of models, those of the newest steps first; found by api.find_anomalies.

status: open, acknowledged, resolved; method: forecast, history. Filters NULL = any; from_time inclusive, to_time exclusive, about the
step. page_size 1 to 1000; after: the column cursor of the last row you have. Raises 22023 for an unknown model, status, method or
cursor. Example: select at, series, actual, expected, score from api.list_anomalies(''sales'', status => ''open'');';
