create function internal.source_dataset(definition core.model_definition)
returns bigint
language sql stable
return (
    select d.id
    from core.dataset as d
    where d.status = 'ready' and not source_dataset.definition.source_is_query
      and source_dataset.definition.source in (d.relation, 'dataset.' || quote_ident(d.view_name))
    order by d.relation = source_dataset.definition.source desc, d.version desc
    limit 1
);

comment on function internal.source_dataset(core.model_definition) is
'Gives the dataset a model reads: that of the table, or the newest version where it reads the view of a name. NULL = none: the source is
another relation or a query, or the dataset is gone.';
