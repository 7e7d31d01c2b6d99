create or replace function bi.surplus_meaning(surplus float8)
returns text
language sql immutable parallel safe
return case
    when surplus_meaning.surplus > 0 then 'surplus'
    when surplus_meaning.surplus < 0 then 'under-delivery'
    when surplus_meaning.surplus = 0 then 'as documented'
end;

comment on function bi.surplus_meaning(float8) is
'Says in a word what a surplus is: surplus, under-delivery (shortage of the supplier, glaze), as documented. NULL stays NULL.';
