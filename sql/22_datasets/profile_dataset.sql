create function internal.profile_dataset(dataset_id bigint)
returns int
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
    relation text := format('dataset.upload_%s', dataset_id);
    statement text;
begin
    -- A column is read by itself: all values of one, not of the whole table, are counted at a time.
    select string_agg(format(
        'select %1$s::bigint, %2$s::int, %3$L::text, %4$L::text, s.row_count - s.filled, g.distinct_count, '
        '  left(s.minimum, 200), left(s.maximum, 200), case when abs(s.mean) < ''infinity'' then s.mean end, '
        '  case when abs(s.stddev) < ''infinity'' then s.stddev end, '
        || case when c.is_number then '(select count(*) from %5$s as o where o.%3$I::float8 < s.q[1] - 1.5 * (s.q[2] - s.q[1]) '
            'or o.%3$I::float8 > s.q[2] + 1.5 * (s.q[2] - s.q[1]))' else 'null::bigint' end
        || ', left(g.most_frequent, 200), g.most_frequent_count from (select count(*) as row_count, count(t.%3$I) as filled, '
        || case when c.type = 'boolean' then 'bool_and(t.%3$I)::text as minimum, bool_or(t.%3$I)::text as maximum, '
            else 'min(t.%3$I)::text as minimum, max(t.%3$I)::text as maximum, ' end
        || case when c.is_number then 'avg(t.%3$I::float8) as mean, stddev_samp(t.%3$I::float8) as stddev, '
            'percentile_cont(''{0.25,0.75}''::float8 []) within group (order by t.%3$I::float8) as q '
            else 'null::float8 as mean, null::float8 as stddev, null::float8 [] as q ' end
        || 'from %5$s as t) as s cross join (with v as materialized (select t.%3$I as value, count(*) as n from %5$s as t where t.%3$I is not null '
        'group by t.%3$I) select (select count(*) from v) as distinct_count, f.value::text as most_frequent, f.n as most_frequent_count '
        'from (select 1) as one left join (select v.value, v.n from v order by v.n desc, v.value limit 1) as f on true) as g',
        dataset_id, c.position, c.name, c.type, relation
    ), ' union all ' order by c.position) into statement
    from (
        select a.attnum as position, a.attname as name,
            case a.atttypid when 'float8'::regtype then 'float8' when 'timestamptz'::regtype then 'timestamptz' when 'timestamp'::regtype then 'timestamp'
                else format_type(a.atttypid, null) end as type,
            a.atttypid in ('bigint'::regtype, 'float8'::regtype, 'numeric'::regtype) as is_number
        from pg_attribute as a
        where a.attrelid = relation::regclass and a.attnum > 0 and not a.attisdropped
    ) as c;
    execute 'insert into core.dataset_column (dataset_id, position, name, type, empty_count, distinct_count, minimum, maximum, mean, stddev, outlier_count, '
        'most_frequent, most_frequent_count) ' || statement;
    return (select count(*) from core.dataset_column as c where c.dataset_id = profile_dataset.dataset_id);
end
$$;

comment on function internal.profile_dataset(bigint) is 'Describes the columns of a dataset in core.dataset_column; returns how many.';
