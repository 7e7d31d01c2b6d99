create function api.show_dataset(name text, version int default null, owner text default null)
returns table (
    dataset_id bigint, version int, place int, column_name text, type text, empty_count bigint, empty_percent float8, distinct_count bigint, minimum text,
    maximum text, mean float8, stddev float8, outlier_count bigint, most_frequent text, most_frequent_count bigint
)
language sql stable
begin atomic
    select d.id, d.version, c.position, c.name, c.type, c.empty_count, 100.0 * c.empty_count / nullif(d.row_count, 0), c.distinct_count, c.minimum,
        c.maximum, c.mean, c.stddev, c.outlier_count, c.most_frequent, c.most_frequent_count
    from internal.find_dataset(show_dataset.name, show_dataset.version, show_dataset.owner, show_dataset.version is null) as d
    inner join core.dataset_column as c on c.dataset_id = d.id
    order by c.position;
end;

comment on function api.show_dataset(text, int, text) is
'Describes the columns of a dataset.

version: NULL = the newest that is ready. owner: NULL = yourself, else the only one of that name. mean, stddev, outlier_count (further than
1.5 interquartile ranges from the quartiles): NULL = no numbers. Raises 22023 for an unknown dataset.
Example: select column_name, type, empty_percent from api.show_dataset(''churn'');';
