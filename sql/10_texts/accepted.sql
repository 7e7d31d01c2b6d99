create type internal.accepted as (read_count bigint, loaded_count bigint, duplicate_count bigint, rejected_count bigint);
comment on type internal.accepted is 'What became of the rows of a block: read = loaded + duplicate + rejected.';
