create function internal.normalize_name(name text)
returns text
language sql immutable parallel safe
return nullif(btrim(regexp_replace(
    translate(normalize_name.name, chr(160) || chr(8239) || chr(9) || chr(10) || chr(13) || chr(65279), '     '), ' +', ' ', 'g'
)), '');

comment on function internal.normalize_name(text) is
'Removes outer, double and non-breaking spaces and line breaks from a name.

NULL for an empty name.';

create function internal.name_key(name text)
returns text
language sql immutable parallel safe
begin atomic
    with cleaned as (
        select translate(upper(internal.normalize_name(name_key.name)), 'Ё\', 'Е/') as name
    ), words as (
        select
            w.position,
            -- A Latin letter among Cyrillic ones is a typing accident; a Latin word (OMEGA, XL) is not.
            case when w.word ~ '[А-Я]' then translate(w.word, 'ABCEHKMOPTXY', 'АВСЕНКМОРТХУ')
                -- Abbreviations of processing, wholly in look-alikes: C/C, X/K.
                when w.word ~ '^\(?[CXKM]/[CKM3]\)?$' then translate(w.word, 'CXKM3', 'СХКМЗ')
                when w.word = 'XK' then 'ХК'
                else w.word
            end as word
        from cleaned as c
        cross join lateral regexp_split_to_table(c.name, ' ') with ordinality as w (word, position)
    )
    select string_agg(w.word, ' ' order by w.position) from words as w;
end;

comment on function internal.name_key(text) is
'Spells a name the way names are compared: upper case, Е for Ё, / for \, Cyrillic for look-alike Latin letters.';
