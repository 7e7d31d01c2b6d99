create function api.reject_surplus(recommendation_id int, notes text default null)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    chosen core.surplus_recommendations := internal.open_recommendation(reject_surplus.recommendation_id);
begin
    update core.surplus_recommendations as r
    set is_accepted = false, acceptance_date = now(), decided_by = session_user, notes = reject_surplus.notes
    where r.id = chosen.id;
end
$$;

comment on function api.reject_surplus(int, text) is
'Rejects a recommended surplus; on the same data it is not recommended again.

notes: why. Raises 22023 for an unknown recommendation, 55000 for a decided one.
Example: select api.reject_surplus(r.recommendation_id, ''scale was wrong'') from bi.surplus_recommendation as r where r.is_accepted is null;';
