create function internal.classify_product(name text)
returns setof core.product_type_mapping
language sql stable rows 1
begin atomic
    -- Kept apart (offset), so that the name is spelt out once and not for each rule.
    select m.*
    from (select internal.name_key(classify_product.name) as spelt limit all offset 0) as k -- noqa: AM09
    inner join core.product_type_mapping as m on k.spelt ~ m.keywords
    order by m.rule_order, m.id
    limit 1;
end;

comment on function internal.classify_product(text) is
'Finds the rule that tells the type of a product from its name; the unknown rule where no other matches.';
