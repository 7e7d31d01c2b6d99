create function api.diff_datasets(name text, from_version int, to_version int, owner text default null)
returns table (column_name text, figure text, change text, before text, after text)
language sql stable
begin atomic
    with v as (
        select f as older, t as newer
        from internal.find_dataset(diff_datasets.name, diff_datasets.from_version, diff_datasets.owner, false) as f
        cross join internal.find_dataset(diff_datasets.name, diff_datasets.to_version, diff_datasets.owner, false) as t
    ), pair as (
        select coalesce(o.position, n.position) as position, coalesce(o.name, n.name) as name, o.name is null as is_added, n.name is null as is_removed,
            o as older, n as newer
        from (select c.* from core.dataset_column as c where c.dataset_id = (select (v.older).id from v)) as o
        full join (select c.* from core.dataset_column as c where c.dataset_id = (select (v.newer).id from v)) as n on n.name = o.name
    )
    select x.column_name, x.figure, case when x.before is null then 'added' when x.after is null then 'removed' else 'changed' end, x.before, x.after
    from (
        select null as column_name, f.figure, f.before, f.after, 0 as position, f.place
        from v
        cross join lateral (values
            ('rows', (v.older).row_count::text, (v.newer).row_count::text, 1), ('columns', (v.older).column_count::text, (v.newer).column_count::text, 2),
            ('file hash', (v.older).file_hash, (v.newer).file_hash, 3)
        ) as f (figure, before, after, place)
        union all
        select p.name, 'column', case when not p.is_added then (p.older).type end, case when not p.is_removed then (p.newer).type end, p.position, 1
        from pair as p where p.is_added or p.is_removed
        union all
        select p.name, f.figure, f.before, f.after, p.position, f.place
        from pair as p
        cross join lateral (values
            ('type', (p.older).type, (p.newer).type, 2), ('position', (p.older).position::text, (p.newer).position::text, 3),
            ('empty count', (p.older).empty_count::text, (p.newer).empty_count::text, 4),
            ('distinct count', (p.older).distinct_count::text, (p.newer).distinct_count::text, 5),
            ('minimum', (p.older).minimum, (p.newer).minimum, 6), ('maximum', (p.older).maximum, (p.newer).maximum, 7),
            ('mean', (p.older).mean::text, (p.newer).mean::text, 8), ('stddev', (p.older).stddev::text, (p.newer).stddev::text, 9),
            ('outlier count', (p.older).outlier_count::text, (p.newer).outlier_count::text, 10),
            ('most frequent', (p.older).most_frequent, (p.newer).most_frequent, 11),
            ('most frequent count', (p.older).most_frequent_count::text, (p.newer).most_frequent_count::text, 12)
        ) as f (figure, before, after, place)
        where not p.is_added and not p.is_removed
    ) as x
    where x.before is distinct from x.after
    order by x.position, x.column_name nulls first, x.place;
end;

comment on function api.diff_datasets(text, int, int, text) is
'Tells what differs between two versions of a dataset: rows, columns added and removed, types, and the figures of the profile.

column_name NULL = the whole table. change: added, removed or changed; before and after as text, NULL = nothing (a column that was added has its
type after). No row = they are alike. Versions that were dropped or have expired still have their profile. Raises 22023 for an unknown version.
Example: select * from api.diff_datasets(''churn'', 1, 2);';
