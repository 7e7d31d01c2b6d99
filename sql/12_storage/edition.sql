create function internal.edition()
returns text
language sql stable parallel safe
return (select e.edition from core.edition as e);

comment on function internal.edition() is 'Tells which edition of TimescaleDB runs: community or apache.';
