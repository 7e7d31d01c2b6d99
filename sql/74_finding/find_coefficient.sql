create function internal.find_coefficient(item text, version int)
returns core.coefficients
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    product int := internal.find_item(item);
    known core.model_versions := internal.find_version('shrinkage', coalesce(version, -1));
    found_row core.coefficients;
begin
    select k.* into found_row from core.coefficients as k where k.model_id = known.id and k.nomenclature_id = product;
    if found_row.id is null then
        raise exception 'version % has no coefficient of %', version, item
            using errcode = '22023', hint = 'See api.coefficient_history for the versions that have one.';
    end if;
    return found_row;
end
$$;

comment on function internal.find_coefficient(text, int) is
'Gives the coefficient of a product in a version of the fit. Raises 22023 for an unknown product or version, or where it has none.';
