create function api.list_recommendations(
    item text default null, product_type text default null, status text default null, from_time timestamptz default null,
    to_time timestamptz default null, page_size int default 50, after text default null
)
returns table (
    at timestamptz, recommendation_id int, item_id int, item text, product_type text, surplus_fraction float8, confidence float8,
    analysis_period_start timestamptz, analysis_period_end timestamptz, method text, status text, decided_at timestamptz, cursor text
)
language sql stable
begin atomic
    select r.created_date, r.id, n.id as item_id, n.name as item, n.product_type, r.recommended_surplus_percentage, r.confidence_level, r.analysis_period_start,
        r.analysis_period_end, r.calculation_method, s.status, r.acceptance_date, internal.cursor(r.created_date, r.id)
    from core.surplus_recommendations as r
    inner join core.nomenclature as n on n.id = r.nomenclature_id
    cross join lateral (select case r.is_accepted when true then 'accepted' when false then 'rejected' else 'open' end as status) as s
    where (list_recommendations.item is null or r.nomenclature_id = (select internal.find_item(list_recommendations.item)))
      and (list_recommendations.product_type is null or n.product_type = (select internal.find_type(list_recommendations.product_type)))
      and (list_recommendations.status is null or s.status = (
          select internal.one_of(list_recommendations.status, '{open,accepted,rejected}', 'status')
      ))
      and (list_recommendations.from_time is null or r.created_date >= list_recommendations.from_time)
      and (list_recommendations.to_time is null or r.created_date < list_recommendations.to_time)
      and (r.created_date, r.id) < (internal.cursor_time(list_recommendations.after), internal.cursor_number(list_recommendations.after, 2))
    order by r.created_date desc, r.id desc
    limit internal.page_size(list_recommendations.page_size);
end;

comment on function api.list_recommendations(text, text, text, timestamptz, timestamptz, int, text) is
'Pages through the surpluses the data suggest, newest first; surplus_fraction 0.05 = 5 %; status open, accepted or rejected.

Filters NULL = any; page_size 1 to 1000; after: the column cursor of the last row you have. Raises 22023 for what no filter can mean.
Example: select item, surplus_fraction from api.list_recommendations(status => ''open'');';
