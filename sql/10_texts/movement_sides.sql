create function internal.side_kg(this_side numeric, other_side numeric, quantity numeric)
returns numeric
language sql immutable parallel safe
return case
    when side_kg.quantity is not null then greatest(side_kg.quantity, 0)
    when side_kg.this_side >= 0 and side_kg.other_side >= 0 then side_kg.this_side
    else greatest(coalesce(side_kg.this_side, 0), 0) - least(coalesce(side_kg.other_side, 0), 0)
end;

comment on function internal.side_kg(numeric, numeric, numeric) is
'Gives what moved on one side: negative on one side is positive on the other (a return, or a correction).

quantity: of a file with one column for both sides, positive on this side.';

create function internal.named_operation(operation text, incoming numeric, outgoing numeric)
returns text
language sql immutable parallel safe
return case
    when named_operation.operation <> '' then named_operation.operation
    when named_operation.operation is null then null
    when named_operation.incoming <> 0 and coalesce(named_operation.outgoing, 0) = 0 then 'receipt'
    when named_operation.outgoing <> 0 and coalesce(named_operation.incoming, 0) = 0 then 'sale'
    when named_operation.incoming is not null and named_operation.outgoing is null then 'receipt'
    when named_operation.outgoing is not null and named_operation.incoming is null then 'sale'
end;

comment on function internal.named_operation(text, numeric, numeric) is
'Gives the operation a row names; where it names none (empty), the side that moved says what it is. NULL = not known.';

create function internal.settled_operation(operation text, in_kg numeric, out_kg numeric)
returns text
language sql immutable parallel safe
return case settled_operation.operation
    when 'transfer' then case when settled_operation.in_kg > 0 then 'transfer_in' else 'transfer_out' end
    when 'sale' then case when settled_operation.in_kg > 0 and settled_operation.out_kg = 0 then 'return' else 'sale' end
    else settled_operation.operation
end;

comment on function internal.settled_operation(text, numeric, numeric) is
'Tells transfers in from transfers out and returns from sales by the side that moved.';
