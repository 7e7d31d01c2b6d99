create function internal.one_of(value text, choices text [], what text)
returns text
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
    if value is null or value = any(choices) then
        return value;
    end if;
    raise exception 'unknown %: %', what, value using errcode = '22023', hint = format('Use %s.', array_to_string(choices, ', '));
end
$$;

comment on function internal.one_of(text, text [], text) is
'Gives a value back that is one of the choices, or NULL. Raises 22023 for others, with the choices.';

create function internal.find_type(product_type text)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return internal.one_of(product_type, array(
        select n.product_type from core.nomenclature as n union select m.product_type from core.product_type_mapping as m order by 1
    ), 'product type');
end
$$;

comment on function internal.find_type(text) is 'Gives a product type back. Raises 22023 for one that neither a product nor a rule has.';
