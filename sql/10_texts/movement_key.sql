create function internal.movement_key(warehouse_id int, operation text, document_number text, batch_received_at timestamptz)
returns bigint
language sql immutable parallel safe
return hashtextextended(movement_key.document_number, hashtextextended(movement_key.operation,
    movement_key.warehouse_id + coalesce(interval_hash_extended(movement_key.batch_received_at - timestamptz '2000-01-01 00:00+00', 0), 0)));

comment on function internal.movement_key(int, text, text, timestamptz) is
'Hashes what, with product and time, makes a movement the same one.';
