create function internal.check_search(words text, kinds text [], max_rows int)
returns tsquery
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
    found_query tsquery := case when length(words) <= 500 then internal.search_query(words) end;
begin
    if found_query is null then
        raise exception 'there is no word in %, or too many', coalesce(quote_literal(left(words, 60)), 'NULL')
            using errcode = '22023', hint = 'Give letters or digits, up to 500; the last word may be unfinished.';
    end if;
    perform internal.one_of(k.kind, '{item,warehouse,file,error,specification,surplus_pattern,pattern,forecast,priority_period}', 'kind')
    from unnest(kinds) as k (kind);
    if max_rows is null or not max_rows between 1 and 1000 then
        raise exception 'max_rows must be 1 to 1000, not %', coalesce(max_rows::text, 'NULL') using errcode = '22023', hint = 'Say more words instead.';
    end if;
    return found_query;
end
$$;

comment on function internal.check_search(text, text [], int) is 'Gives the query of a search. Raises 22023 for no word, an unknown kind, or too many rows.';

create function api.search(words text, kinds text [] default null, max_rows int default 50)
returns table (kind text, id bigint, title text, excerpt text, rank float8, at timestamptz)
language sql stable
begin atomic
    with question as materialized (
        select internal.check_search(search.words, search.kinds, search.max_rows) as query
    ), recent as materialized (
        -- A word that very many rejected rows have is found among the newest of them, without looking at the others.
        select 'error' as kind, e.id, e.description as title, coalesce(e.notes, e.raw_text) as excerpt, e.search_words, e.detection_date as found_at
        from (
            select x.* from core.validation_errors as x
            where (search.kinds is null or 'error' = any(search.kinds)) and x.search_words is not null
            order by x.id desc limit 5000
        ) as e
        where e.search_words @@ (select q.query from question as q)
    ), hit as (
        (
            select 'item' as kind, n.id::bigint as id, n.name as title, concat_ws(', ', n.product_type, n.item_group) as excerpt,
                n.search_words, n.created_date as found_at
            from core.nomenclature as n
            where (search.kinds is null or 'item' = any(search.kinds)) and n.search_words @@ (select q.query from question as q)
            order by n.id desc limit 1000
        )
        union all
        (
            -- A product that files spell otherwise.
            select distinct on (n.id) 'item', n.id, n.name, a.raw_name, a.search_words, n.created_date
            from core.nomenclature_alias as a
            inner join core.nomenclature as n on n.id = a.nomenclature_id
            where (search.kinds is null or 'item' = any(search.kinds)) and a.search_words @@ (select q.query from question as q)
              and not n.search_words @@ (select q.query from question as q)
            order by n.id desc limit 1000
        )
        union all
        select 'warehouse', w.id, w.name, w.time_zone, w.search_words, null
        from core.warehouses as w
        where (search.kinds is null or 'warehouse' = any(search.kinds)) and w.search_words @@ (select q.query from question as q)
        union all
        (
            select 'file', s.id, s.file_name, case when s.undone_at is null then s.layout else s.layout || ', taken back' end, s.search_words,
                s.upload_date
            from core.source_data as s
            where (search.kinds is null or 'file' = any(search.kinds)) and s.search_words @@ (select q.query from question as q)
            order by s.id desc limit 1000
        )
        union all
        (select r.* from recent as r order by r.id desc limit 1000)
        union all
        (
            select 'error', e.id, e.description, coalesce(e.notes, e.raw_text), e.search_words, e.detection_date
            from core.validation_errors as e
            where (search.kinds is null or 'error' = any(search.kinds)) and e.search_words @@ (select q.query from question as q)
              and (select count(*) from recent as r) < 1000 and not exists (select from recent as r where r.id = e.id)
            order by e.id desc limit 1000
        )
        union all
        -- A flag says what every flag of its kind says: the newest of each, and only as many as will be shown.
        select 'error', e.id, e.description, f.flag, f.search_words, e.detection_date
        from (
            select q.flag, internal.search_words(q.flag || ' ' || q.description) as search_words
            from core.quality_flag as q
        ) as f
        cross join lateral (
            select x.id, x.description, x.detection_date
            from core.validation_errors as x
            where x.flag = f.flag and x.notes is null
            order by x.detection_date desc, x.id desc
            limit search.max_rows
        ) as e
        where (search.kinds is null or 'error' = any(search.kinds)) and f.search_words @@ (select q.query from question as q)
        union all
        (
            select 'specification', s.id, n.name, s.notes, s.search_words, s.created_date
            from core.surplus_specifications as s
            inner join core.nomenclature as n on n.id = s.nomenclature_id
            where (search.kinds is null or 'specification' = any(search.kinds)) and s.search_words @@ (select q.query from question as q)
            order by s.id desc limit 1000
        )
        union all
        (
            select 'surplus_pattern', p.id, coalesce(n.name, p.product_type, 'all products'), p.pattern_condition, p.search_words, p.created_date
            from core.surplus_patterns as p
            left join core.nomenclature as n on n.id = p.nomenclature_id
            where (search.kinds is null or 'surplus_pattern' = any(search.kinds)) and p.search_words @@ (select q.query from question as q)
            order by p.id desc limit 1000
        )
        union all
        (
            select 'pattern', p.id, p.pattern_type, p.description, p.search_words, p.discovery_date
            from core.ai_patterns as p
            where (search.kinds is null or 'pattern' = any(search.kinds)) and p.search_words @@ (select q.query from question as q)
            order by p.id desc limit 1000
        )
        union all
        (
            select 'forecast', f.id, coalesce(n.name, 'a period that is gone'), f.notes, f.search_words, f.forecast_date
            from core.preliminary_forecasts as f
            left join core.calculation_data as c on c.id = f.calculation_data_id and c.calculation_date = f.calculation_date
            left join core.nomenclature as n on n.id = c.nomenclature_id
            where (search.kinds is null or 'forecast' = any(search.kinds)) and f.search_words @@ (select q.query from question as q)
            order by f.id desc limit 1000
        )
        union all
        (
            select 'priority_period', p.id, p.description, 'level ' || p.priority_level, p.search_words, p.period_start
            from core.priority_periods as p
            where (search.kinds is null or 'priority_period' = any(search.kinds)) and p.search_words @@ (select q.query from question as q)
            order by p.id desc limit 1000
        )
    )
    select h.kind, h.id, h.title, left(h.excerpt, 200),
        -- Short texts first: a name before a long row that has the word somewhere.
        ts_rank(h.search_words, (select q.query from question as q), 2)::float8 as rank, h.found_at
    from hit as h
    order by rank desc, h.found_at desc nulls first, h.kind asc, h.id desc
    limit (select search.max_rows from question);
end;

comment on function api.search(text, text [], int) is
'Finds words in names of products (also as files spell them), warehouses and files, in notes, findings and rejected rows; best first.

All words must be there, in any order, as spelled or in another form of the word; the last one may be unfinished. Ё is Е, Latin letters
that look Cyrillic are Cyrillic, Х/К is ХК. kinds: item, warehouse, file, error, specification, surplus_pattern, pattern, forecast,
priority_period; NULL = all. id is the key in the table of the kind; excerpt the text or what belongs to it; a word that very many rows
have ranks the 1000 newest of a kind. max_rows 1 to 1000. Raises 22023 for no word, an unknown kind, another max_rows.
Example: select kind, title, excerpt from api.search(''скумбр'');';
