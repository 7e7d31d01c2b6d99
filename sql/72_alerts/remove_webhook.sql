create function api.remove_webhook(id int)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    waiting_count bigint;
begin
    if not exists (select from core.webhook as w where w.id = remove_webhook.id) then
        raise exception 'there is no webhook %', coalesce(id::text, 'NULL') using errcode = '22023', hint = 'See webhook_id of bi.webhook.';
    end if;
    -- Nobody queues for it meanwhile.
    perform pg_advisory_xact_lock(x'57454941'::int, 0);
    update core.webhook_delivery as d
    set status = 'given_up', next_attempt_at = null, last_error = 'the webhook was removed'
    where d.webhook_id = remove_webhook.id and d.status in ('pending', 'failed');
    get diagnostics waiting_count = row_count;
    delete from core.webhook as w where w.id = remove_webhook.id;
    return waiting_count;
end
$$;

comment on function api.remove_webhook(int) is
'Removes a webhook with its URL; what was sent to it stays in bi.webhook_delivery. Returns how many deliveries were not sent and are
given up.

Raises 22023 for an unknown one.
Example: select api.remove_webhook(api.add_webhook(''https://example.com/alerts''));';
