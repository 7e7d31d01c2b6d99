create function internal.data_hash(grid jsonb, row_count bigint, first_sum numeric, second_sum numeric)
returns text
language sql immutable parallel safe
return encode(sha256(convert_to(concat_ws('|', data_hash.grid, data_hash.row_count, data_hash.first_sum, data_hash.second_sum), 'UTF8')), 'hex');

comment on function internal.data_hash(jsonb, bigint, numeric, numeric) is
'Names the content of a series: its grid, how many rows, and the sums of two 64-bit hashes of each.';
