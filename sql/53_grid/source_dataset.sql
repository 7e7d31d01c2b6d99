create function internal.source_dataset(definition core.model_definition)
returns bigint
language sql stable
return (select max(d.id) from core.dataset as d where d.relation = definition.source);

comment on function internal.source_dataset(core.model_definition) is 'Gives the dataset a model reads; NULL = it reads another relation.';
