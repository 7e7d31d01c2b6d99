create function internal.classify_product(name text)
returns core.product_type_mapping
language sql stable
begin atomic
    select m
    from core.product_type_mapping as m
    where internal.name_key(classify_product.name) ~ m.keywords
    order by m.rule_order, m.id
    limit 1;
end;

comment on function internal.classify_product(text) is
'Finds the rule that tells the type of a product from its name; the unknown rule where no other matches.';
