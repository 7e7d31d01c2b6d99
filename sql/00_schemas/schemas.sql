-- Dropping a schema is never right: outsiders' objects may live on bi. Their contents are dropped one by one instead.
create schema if not exists internal;
create schema if not exists api;
create schema if not exists bi;

comment on schema internal is 'Holds helpers and PL/Python wrappers; rebuilt by every upgrade, not for callers.';
comment on schema api is 'Holds the functions for people and programs; rebuilt by every upgrade.';
comment on schema bi is 'Holds flat views for people and BI tools; they only ever gain columns at the end.';
