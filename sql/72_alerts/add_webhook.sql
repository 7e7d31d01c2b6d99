create function api.add_webhook(
    url text, min_severity text default 'warning', rules text [] default null, models text [] default null, secret_name text default null,
    description text default null, is_active boolean default true
)
returns int
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    number int;
begin
    -- The message leaves the URL out: it may be a secret.
    if url is null or length(url) > 2000 or url ~ '#'
        or url !~ '^https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?([/?][!-~]*)?$'
    then
        raise exception 'this is no URL to post to'
            using errcode = '22023', hint = 'As https://host/path: http or https, no user and password, no spaces, no #, other letters as %D0%B0.';
    end if;
    if coalesce(substring(url from '^https?://[^/?]*:([0-9]{1,5})([/?]|$)')::int, 443) not between 1 and 65535 then
        raise exception 'this is no URL to post to: there is no such port' using errcode = '22023', hint = 'Ports are 1 to 65535.';
    end if;
    perform internal.one_of_severities(coalesce(min_severity, 'NULL'));
    if secret_name !~ '^WEIGHHOUSE_WEBHOOK_[A-Z0-9_]+$' then
        raise exception 'secret_name must be an environment variable WEIGHHOUSE_WEBHOOK_…'
            using errcode = '22023', hint = 'The name of a variable the worker has, as WEIGHHOUSE_WEBHOOK_KEY; never the secret itself.';
    end if;
    if rules is not null and cardinality(rules) = 0 or models is not null and cardinality(models) = 0 then
        raise exception 'a webhook that wants nothing' using errcode = '22023', hint = 'NULL = all.';
    end if;
    perform internal.find_alert_rule(r.name) from unnest(rules) as r (name);
    perform internal.find_model(m.name) from unnest(models) as m (name);
    insert into core.webhook as w (url, min_severity, rules, models, secret_name, description, is_active)
    values (url, min_severity, rules, models, secret_name, description, coalesce(is_active, true))
    on conflict on constraint webhook_url_key do update
    set min_severity = excluded.min_severity, rules = excluded.rules, models = excluded.models, secret_name = excluded.secret_name,
        description = excluded.description, is_active = excluded.is_active
    where (w.min_severity, w.rules, w.models, w.secret_name, w.description, w.is_active)
        is distinct from (excluded.min_severity, excluded.rules, excluded.models, excluded.secret_name, excluded.description, excluded.is_active);
    select w.id into number from core.webhook as w where w.url = add_webhook.url;
    return number;
end
$$;

comment on function api.add_webhook(text, text, text [], text [], text, text, boolean) is
'Has alerts posted to a URL by `loader worker` (or loader alerts send), at least once, each with an id; returns the number of the webhook.

min_severity: critical = critical ones only. rules, models: NULL = all. secret_name: environment variable of the worker,
WEIGHHOUSE_WEBHOOK_…, that holds the key of the signature (NULL = not signed); the secret itself is never stored. The same URL again
changes what it wants. Posted is {"id", "event": raised, acknowledged, resolved or escalated, "alert": {…}} with the id as
Idempotency-Key and X-Weighhouse-Delivery too; 2xx confirms it. X-Weighhouse-Signature: t=<seconds since 1970>,v1=<HMAC-SHA256 of
"<t>.<body>" in hex>. Raises 22023 for what is no http or https URL, one with a password, unknown severities, rules and models.
Example: select api.add_webhook(''https://example.com/alerts'', min_severity => ''critical'');';
