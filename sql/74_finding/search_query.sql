-- Spells words as migration 0009 spells the texts they are looked for in; a test holds the two together.
create function internal.search_words(words text)
returns tsvector
language sql immutable parallel safe
return to_tsvector('pg_catalog.simple', regexp_replace(translate(upper(search_words.words), 'ЁABCEHKMOPTXY/\', 'ЕАВСЕНКМОРТХУ'), '[^[:alnum:]]+', ' ', 'g'))
|| to_tsvector('pg_catalog.russian', regexp_replace(translate(upper(search_words.words), 'Ё/\', 'Е'), '[^[:alnum:]]+', ' ', 'g'));

comment on function internal.search_words(text) is 'Gives the words of a text as the columns search_words hold them: as spelled, and their stems.';

create function internal.search_query(words text)
returns tsquery
language sql immutable parallel safe
begin atomic
    with word as (
        -- The parser of the texts parts the words as well: what it makes of one side it makes of the other.
        select w.position, w.word, translate(w.word, 'ABCEHKMOPTXY', 'АВСЕНКМОРТХУ') as folded
        from (
            select s.position, regexp_replace(translate(s.word, 'Ё/\', 'Е'), '[^[:alnum:]]+', ' ', 'g') as word
            from regexp_split_to_table(upper(search_query.words), '\s+') with ordinality as s (word, position)
        ) as w
    ), lexeme as (
        select w.position, f.positions[1] as place, f.lexeme,
            -- The word with its Latin letters, and its stem: our own texts are in English.
            (
                select array_agg(distinct r.lexeme)
                from (
                    select p.lexeme, p.positions from unnest(to_tsvector('pg_catalog.simple', w.word)) as p
                    union all
                    select p.lexeme, p.positions from unnest(to_tsvector('pg_catalog.russian', w.word)) as p
                ) as r
                where r.positions[1] = f.positions[1] and r.lexeme <> f.lexeme
            ) as forms
        from word as w
        cross join lateral unnest(to_tsvector('pg_catalog.simple', w.folded)) as f
    )
    select string_agg(
        '(' || (
            -- The last word may not be finished.
            select string_agg(quote_literal(t.form) || case when l.is_last then ':*' else '' end, ' | ')
            from unnest(l.lexeme || l.forms) as t (form)
        ) || ')', ' & ' order by l.position, l.place
    )::tsquery
    from (
        select n.*, row_number() over (order by n.position desc, n.place desc) = 1 as is_last from lexeme as n
    ) as l;
end;

comment on function internal.search_query(text) is
'Writes words as a query of the columns search_words: all of them, each as spelled or by its stem, the last one also unfinished.

Ё is Е, Latin look-alikes are Cyrillic, slashes do not count. NULL where no word is left.';
