create function internal.is_unit_jump(counted_kg numeric, book_kg numeric)
returns boolean
language sql immutable parallel safe
return coalesce(
    (
        select bool_or(counted_kg / book_kg between u.factor * 0.7 and u.factor * 1.1)
        from unnest(array[0.001, 0.01, 0.1, 10, 100, 1000]::numeric []) as u (factor)
        where is_unit_jump.book_kg > 0 and is_unit_jump.counted_kg > 0
    ), false
);

comment on function internal.is_unit_jump(numeric, numeric) is
'Tells whether a count looks like the book with a misplaced decimal point or unit: about 10, 100 or 1000 times, or a part of it.';
