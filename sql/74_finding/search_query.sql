-- Spells words as migration 0009 spells the texts they are looked for in; a test holds the two together.
create function internal.search_words(words text)
returns tsvector
language sql immutable parallel safe
return to_tsvector('pg_catalog.simple', translate(
    upper(search_words.words), 'ЁABCEHKMOPTXY!"#$%&''()*+,-.:;<=>?@[]^_`{|}~«»№/\', 'ЕАВСЕНКМОРТХУ                                 '))
|| to_tsvector('pg_catalog.russian', translate(
        upper(search_words.words), 'Ё!"#$%&''()*+,-.:;<=>?@[]^_`{|}~«»№/\', 'Е                                 '));

comment on function internal.search_words(text) is 'Gives the words of a text as the columns search_words hold them: as spelled, and their stems.';

create function internal.search_query(words text)
returns tsquery
language sql immutable parallel safe
begin atomic
    with word as (
        -- The parser of the texts parts the words as well: what it makes of one side it makes of the other.
        select w.position, w.word,
            translate(w.word, 'ABCEHKMOPTXY', 'АВСЕНКМОРТХУ') as folded
        from (
            select s.position, translate(s.word, 'Ё!"#$%&''()*+,-.:;<=>?@[]^_`{|}~«»№/\', 'Е                                 ') as word
            from regexp_split_to_table(upper(search_query.words), '\s+') with ordinality as s (word, position)
        ) as w
    ), lexeme as (
        select w.position, f.positions[1] as place, f.lexeme,
            (
                select string_agg(' | ' || quote_literal(r.lexeme), '' order by r.lexeme)
                from unnest(to_tsvector('pg_catalog.russian', w.word)) as r
                where r.positions[1] = f.positions[1] and r.lexeme <> f.lexeme
            ) as stem
        from word as w
        cross join lateral unnest(to_tsvector('pg_catalog.simple', w.folded)) as f
    )
    select string_agg(
        -- The last word may not be finished.
        '(' || quote_literal(l.lexeme) || case when l.number = l.last_number then ':*' else '' end || coalesce(l.stem, '') || ')', ' & '
        order by l.number
    )::tsquery
    from (
        select n.*, row_number() over (order by n.position, n.place) as number, count(*) over () as last_number from lexeme as n
    ) as l;
end;

comment on function internal.search_query(text) is
'Writes words as a query of the columns search_words: all of them, each as spelled or by its stem, the last one also unfinished.

Ё is Е, Latin look-alikes are Cyrillic, slashes do not count. NULL where no word is left.';
