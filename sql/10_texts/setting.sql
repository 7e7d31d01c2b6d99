create function internal.setting(name text)
returns numeric
language sql stable parallel safe
return (select (s.value #>> '{}')::numeric from core.settings as s where s.name = setting.name);

comment on function internal.setting(text) is 'Reads a numeric setting; NULL when there is none of that name.';

create function internal.setting_text(name text)
returns text
language sql stable parallel safe
return (select s.value #>> '{}' from core.settings as s where s.name = setting_text.name);

comment on function internal.setting_text(text) is 'Reads a setting as text; NULL when there is none of that name.';
