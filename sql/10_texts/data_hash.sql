create function internal.data_hash(grid jsonb, row_count bigint, first_half bigint, second_half bigint)
returns text
language sql immutable parallel safe
return encode(sha256(convert_to(concat_ws('|', data_hash.grid, data_hash.row_count, data_hash.first_half, data_hash.second_half), 'UTF8')), 'hex');

comment on function internal.data_hash(jsonb, bigint, bigint, bigint) is
'Names the content of a series: its grid, how many observations, and the sums (exclusive or) of two 64-bit hashes of each.';
