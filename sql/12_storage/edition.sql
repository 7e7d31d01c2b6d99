create function internal.edition()
returns text
language sql stable parallel safe
return core.edition();

comment on function internal.edition() is 'Tells which edition of TimescaleDB runs: community or apache.';
