-- A URL may be a secret from its path on, and is not shown: scheme and host tell which it is.
create or replace view bi.webhook as
select w.created_at as time, w.id as webhook_id, w.target || case when w.url = w.target then '' else '/…' end as url, w.description, w.min_severity,
    array_to_string(w.rules, ', ') as rules, array_to_string(w.models, ', ') as models, w.secret_name is not null as is_signed, w.is_active,
    w.created_by, d.sent_count, d.waiting_count, d.given_up_count, d.last_sent_at, f.last_error
from core.webhook as w
cross join lateral (
    select count(*) filter (where x.status = 'sent') as sent_count, count(*) filter (where x.status in ('pending', 'failed')) as waiting_count,
        count(*) filter (where x.status = 'given_up') as given_up_count, max(x.sent_at) as last_sent_at
    from core.webhook_delivery as x where x.webhook_id = w.id
) as d
left join lateral (
    select x.last_error from core.webhook_delivery as x
    where x.webhook_id = w.id and x.status in ('failed', 'given_up') order by x.number desc limit 1
) as f on true;

comment on view bi.webhook is 'Who is told of alerts, and how that goes.';
comment on column bi.webhook.time is 'When it was added.';
comment on column bi.webhook.webhook_id is 'Key.';
comment on column bi.webhook.url is 'Scheme and host of the URL; /… stands for what may be a secret.';
comment on column bi.webhook.description is 'What it is for; NULL = nothing said.';
comment on column bi.webhook.min_severity is 'warning = all alerts, critical = critical ones only.';
comment on column bi.webhook.rules is 'Rules it wants, parted by commas; NULL = all.';
comment on column bi.webhook.models is 'Models it wants, parted by commas; NULL = all.';
comment on column bi.webhook.is_signed is 'Whether what is posted carries a signature.';
comment on column bi.webhook.is_active is 'Whether it is told of what happens from now on.';
comment on column bi.webhook.created_by is 'Database role that added it.';
comment on column bi.webhook.sent_count is 'Deliveries the receiver confirmed.';
comment on column bi.webhook.waiting_count is 'Deliveries still to be sent.';
comment on column bi.webhook.given_up_count is 'Deliveries given up.';
comment on column bi.webhook.last_sent_at is 'When the receiver last confirmed one; NULL = never.';
comment on column bi.webhook.last_error is 'Why the newest of those that failed or were given up did; NULL = none is.';

create or replace view bi.webhook_delivery as
select d.created_at as time, d.number as delivery_number, d.id::text as delivery_id, d.webhook_id, d.target as url, d.alert_id, d.event, d.status, d.attempts,
    d.next_attempt_at, d.response_status, d.last_error, d.sent_at
from core.webhook_delivery as d;

comment on view bi.webhook_delivery is 'The outbox: what was or is to be posted to whom, and what became of it.';
comment on column bi.webhook_delivery.time is 'When it was queued, with the change of the alert.';
comment on column bi.webhook_delivery.delivery_number is 'Counts deliveries in their order.';
comment on column bi.webhook_delivery.delivery_id is 'Key; the receiver is told it, and knows a repetition by it.';
comment on column bi.webhook_delivery.webhook_id is 'The webhook; NULL = removed since.';
comment on column bi.webhook_delivery.url is 'Scheme and host of its URL.';
comment on column bi.webhook_delivery.alert_id is 'The alert.';
comment on column bi.webhook_delivery.event is 'raised, acknowledged, resolved, escalated (raised in place of a warning).';
comment on column bi.webhook_delivery.status is 'pending, failed (it will be tried again), sent, given_up.';
comment on column bi.webhook_delivery.attempts is 'Attempts made.';
comment on column bi.webhook_delivery.next_attempt_at is 'When it is due; NULL = sent or given up.';
comment on column bi.webhook_delivery.response_status is 'HTTP status of the last answer; NULL = there was none.';
comment on column bi.webhook_delivery.last_error is 'Why the last attempt failed; NULL = none did.';
comment on column bi.webhook_delivery.sent_at is 'When the receiver confirmed it; NULL = not yet.';
