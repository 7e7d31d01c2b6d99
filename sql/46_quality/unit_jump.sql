-- One plain expression, that it can be inlined: it is asked of every period.
create function internal.is_unit_jump(counted_kg numeric, book_kg numeric)
returns boolean
language sql immutable parallel safe
return case
    when not coalesce(is_unit_jump.counted_kg > 0 and is_unit_jump.book_kg > 0, false) then false
    when is_unit_jump.counted_kg > 0.11 * is_unit_jump.book_kg and is_unit_jump.counted_kg < 7 * is_unit_jump.book_kg then false
    -- From 0.7 to 1.1 times a factor of 10, 100 or 1000: something is missing as a rule.
    else is_unit_jump.counted_kg between 0.07 * is_unit_jump.book_kg and 0.11 * is_unit_jump.book_kg
        or is_unit_jump.counted_kg between 0.007 * is_unit_jump.book_kg and 0.011 * is_unit_jump.book_kg
        or is_unit_jump.counted_kg between 0.0007 * is_unit_jump.book_kg and 0.0011 * is_unit_jump.book_kg
        or is_unit_jump.counted_kg between 7 * is_unit_jump.book_kg and 11 * is_unit_jump.book_kg
        or is_unit_jump.counted_kg between 70 * is_unit_jump.book_kg and 110 * is_unit_jump.book_kg
        or is_unit_jump.counted_kg between 700 * is_unit_jump.book_kg and 1100 * is_unit_jump.book_kg
end;

comment on function internal.is_unit_jump(numeric, numeric) is
'Tells whether a count looks like the book with a misplaced decimal point or unit: about 10, 100 or 1000 times, or a part of it.';
