create function api.list_patterns(
    pattern_type text default null, item text default null, status text default null, least_confidence float8 default null, from_time timestamptz default null,
    to_time timestamptz default null, page_size int default 50, after text default null
)
returns table (
    at timestamptz, pattern_id bigint, pattern_type text, subtype text, description text, confidence float8, items text, status text, notes text, cursor text
)
language sql stable
begin atomic
    select p.discovery_date, p.id, p.pattern_type, p.subtype, p.description, p.confidence_level,
        (select string_agg(n.name, ', ' order by n.name) from core.nomenclature as n where n.id = any(p.affected_nomenclature)), p.status, p.notes,
        internal.cursor(p.discovery_date, p.id)
    from core.ai_patterns as p
    where (list_patterns.pattern_type is null or p.pattern_type = (
        select internal.one_of(list_patterns.pattern_type, '{anomaly,trend,seasonality,correlation}', 'pattern type')
    ))
    and (list_patterns.status is null or p.status = (select internal.one_of(list_patterns.status, '{open,closed,accepted}', 'status')))
    and (list_patterns.item is null or p.affected_nomenclature is null
        or (select internal.find_item(list_patterns.item)) = any(p.affected_nomenclature))
    and (list_patterns.least_confidence is null or p.confidence_level >= list_patterns.least_confidence)
    and (list_patterns.from_time is null or p.discovery_date >= list_patterns.from_time)
    and (list_patterns.to_time is null or p.discovery_date < list_patterns.to_time)
    and (p.discovery_date, p.id) < (internal.cursor_time(list_patterns.after), internal.cursor_number(list_patterns.after, 2))
    order by p.discovery_date desc, p.id desc
    limit internal.page_size(list_patterns.page_size);
end;

comment on function api.list_patterns(text, text, text, float8, timestamptz, timestamptz, int, text) is
'Pages through the patterns found in the data, newest first; items NULL = it concerns all products (and every filter on one).

Filters NULL = any; page_size 1 to 1000; after: the column cursor of the last row you have. Raises 22023 for what no filter can mean.
Example: select at, pattern_type, description from api.list_patterns(status => ''open'', least_confidence => 0.9);';
