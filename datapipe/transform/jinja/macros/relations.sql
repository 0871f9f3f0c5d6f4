{% macro load_cached_relation(relation) %}
    {%- do return(adapter.get_relation(database=relation.database, schema=relation.schema, identifier=relation.identifier)) -%}
{% endmacro %}
{% macro load_relation(relation) %}{{ return(load_cached_relation(relation)) }}{% endmacro %}

{% macro default__get_or_create_relation(database, schema, identifier, type) %}
    {%- set found = adapter.get_relation(database=database, schema=schema, identifier=identifier) -%}
    {%- if found -%}{%- do return([true, found]) -%}{%- endif -%}
    {%- if this and [schema, identifier] == [this.schema, this.identifier] -%}{# which stands aside #}
        {%- do return([false, this.incorporate(type=type)]) -%}
    {%- endif -%}
    {%- do return([false, api.Relation.create(database=database, schema=schema, identifier=identifier, type=type)]) -%}
{% endmacro %}

{# Names with a suffix are cut before it, so that PostgreSQL does not cut the suffix. #}
{% macro postgres__make_relation_with_suffix(base_relation, suffix, dstring) %}
    {%- set ending = suffix ~ (modules.datetime.datetime.now().strftime('%H%M%S%f') if dstring else '') -%}
    {%- set room = base_relation.relation_max_name_length() - ending | length -%}
    {%- if room < 0 -%}{%- do exceptions.raise_compiler_error('The suffix ' ~ ending ~ ' is too long for a name.') -%}{%- endif -%}
    {%- do return(base_relation.incorporate(path={'identifier': base_relation.identifier[:room] ~ ending})) -%}
{% endmacro %}
{% macro postgres__make_intermediate_relation(base_relation, suffix='__dbt_tmp') %}
    {%- do return(postgres__make_relation_with_suffix(base_relation, suffix, dstring=false)) -%}
{% endmacro %}
{% macro postgres__make_temp_relation(base_relation, suffix='__dbt_tmp') %}
    {%- set temporary = postgres__make_relation_with_suffix(base_relation, suffix, dstring=true) -%}
    {%- do return(temporary.incorporate(path={'schema': none, 'database': none})) -%}
{% endmacro %}
{% macro default__make_temp_relation(base_relation, suffix='__dbt_tmp') %}
    {%- do return(base_relation.incorporate(path={'identifier': base_relation.identifier ~ suffix})) -%}
{% endmacro %}
{% macro postgres__make_backup_relation(base_relation, backup_relation_type, suffix='__dbt_backup') %}
    {%- set backup = postgres__make_relation_with_suffix(base_relation, suffix, dstring=false) -%}
    {%- do return(backup.incorporate(type=backup_relation_type)) -%}
{% endmacro %}

{% macro default__create_schema(relation) %}{%- do adapter.create_schema(relation) -%}{% endmacro %}
{% macro default__drop_schema(relation) %}{%- do adapter.drop_schema(relation) -%}{% endmacro %}
{% macro default__drop_schema_named(schema_name) %}
    {%- do adapter.drop_schema(api.Relation.create(schema=schema_name)) -%}
{% endmacro %}
{% macro default__drop_relation(relation) %}{%- do adapter.drop_relation(relation) -%}{% endmacro %}
{% macro drop_relation_if_exists(relation) %}
    {%- if relation is not none -%}{%- do adapter.drop_relation(relation) -%}{%- endif -%}
{% endmacro %}
{% macro default__rename_relation(from_relation, to_relation) %}
    {%- do adapter.rename_relation(from_relation, to_relation) -%}
{% endmacro %}
{% macro default__truncate_relation(relation) %}{%- do adapter.truncate_relation(relation) -%}{% endmacro %}

{% macro get_create_table_as_sql(temporary, relation, sql) -%}
    {{ adapter.dispatch('get_create_table_as_sql', 'dbt')(temporary, relation, sql) }}
{%- endmacro %}
{% macro default__get_create_table_as_sql(temporary, relation, sql) %}{{ return(create_table_as(temporary, relation, sql)) }}{% endmacro %}
{% macro create_table_as(temporary, relation, compiled_code, language='sql') -%}
    {%- if language != 'sql' -%}
        {%- do exceptions.raise_compiler_error('PostgreSQL builds tables with SQL, not with ' ~ language ~ '.') -%}
    {%- endif -%}
    {{ adapter.dispatch('create_table_as', 'dbt')(temporary, relation, compiled_code) }}
{%- endmacro %}
{% macro postgres__create_table_as(temporary, relation, sql) -%}
    {%- set contract = config.get('contract') -%}
    {%- set kind = 'temporary ' if temporary else 'unlogged ' if config.get('unlogged', default=false) else '' -%}
    {{ config.get('sql_header', none) or '' }}
    create {{ kind }}table {{ relation }}
    {%- if contract.enforced -%}{{ get_assert_columns_equivalent(sql) }}{%- endif -%}
    {%- if contract.enforced and not temporary %}
    {{ get_table_columns_and_constraints() }};
    insert into {{ relation }} ({{ adapter.dispatch('get_column_names', 'dbt')() }})
    (
        {{ get_select_subquery(sql) }}
    );
    {%- else %} as
    (
        {{ sql }}
    );
    {%- endif %}
{%- endmacro %}

{% macro default__get_create_view_as_sql(relation, sql) %}{{ return(create_view_as(relation, sql)) }}{% endmacro %}
{% macro default__create_view_as(relation, sql) -%}
    {{ config.get('sql_header', none) or '' }}
    create view {{ relation }}
    {%- if config.get('contract').enforced -%}{{ get_assert_columns_equivalent(sql) }}{%- endif %} as (
        {{ sql }}
    );
{%- endmacro %}
{% macro postgres__get_create_materialized_view_as_sql(relation, sql) -%}
    create materialized view if not exists {{ relation }} as {{ sql }};
    {% for index in config.get('indexes', default=[]) -%}{{ get_create_index_sql(relation, index) }};{%- endfor %}
{%- endmacro %}
{% macro postgres__refresh_materialized_view(relation) %}refresh materialized view {{ relation }}{% endmacro %}

{% macro default__get_create_sql(relation, sql) -%}
    {%- if relation.is_view -%}{{ get_create_view_as_sql(relation, sql) }}
    {%- elif relation.is_table -%}{{ get_create_table_as_sql(false, relation, sql) }}
    {%- elif relation.is_materialized_view -%}{{ get_create_materialized_view_as_sql(relation, sql) }}
    {%- else -%}{%- do exceptions.raise_compiler_error('It is not known how to create a ' ~ relation.type ~ '.') -%}
    {%- endif -%}
{%- endmacro %}
{% macro default__get_drop_sql(relation) -%}
    drop {{ relation.type | replace('_', ' ') }} if exists {{ relation }} cascade
{%- endmacro %}
{% macro default__drop_table(relation) %}drop table if exists {{ relation }} cascade{% endmacro %}
{% macro default__drop_view(relation) %}drop view if exists {{ relation }} cascade{% endmacro %}
{% macro default__drop_materialized_view(relation) %}drop materialized view if exists {{ relation }} cascade{% endmacro %}
{% macro default__get_rename_sql(relation, new_name) -%}
    alter {{ relation.type | replace('_', ' ') }} {{ relation }} rename to {{ adapter.quote(new_name) }}
{%- endmacro %}
{% macro default__get_rename_table_sql(relation, new_name) %}{{ return(default__get_rename_sql(relation, new_name)) }}{% endmacro %}
{% macro default__get_rename_view_sql(relation, new_name) %}{{ return(default__get_rename_sql(relation, new_name)) }}{% endmacro %}
{% macro default__get_rename_materialized_view_sql(relation, new_name) %}{{ return(default__get_rename_sql(relation, new_name)) }}{% endmacro %}

{% macro default__get_create_intermediate_sql(relation, sql) -%}
    {%- set intermediate = make_intermediate_relation(relation) -%}
    {{ get_drop_sql(intermediate) }};
    {{ get_create_sql(intermediate, sql) }}
{%- endmacro %}
{% macro default__get_create_backup_sql(relation) -%}
    {%- set backup = make_backup_relation(relation, relation.type) -%}
    {{ get_drop_sql(backup) }};
    {{ get_rename_sql(relation, backup.identifier) }}
{%- endmacro %}
{% macro default__get_drop_backup_sql(relation) %}{{ get_drop_sql(make_backup_relation(relation, relation.type)) }}{% endmacro %}
{% macro default__get_rename_intermediate_sql(relation) %}{{ get_rename_sql(make_intermediate_relation(relation), relation.identifier) }}{% endmacro %}
{% macro default__get_replace_sql(existing_relation, target_relation, sql) -%}
    {{ get_create_intermediate_sql(target_relation, sql) }};
    {{ get_create_backup_sql(existing_relation) }};
    {{ get_rename_intermediate_sql(target_relation) }};
    {{ get_drop_backup_sql(existing_relation) }}
{%- endmacro %}

{% macro default__create_indexes(relation) %}
    {%- for index in config.get('indexes', default=[]) -%}
        {%- do run_query(get_create_index_sql(relation, index)) -%}
    {%- endfor -%}
{% endmacro %}
{% macro postgres__get_create_index_sql(relation, index_dict) -%}
    {%- set index = adapter.parse_index(index_dict) -%}
    create {{ 'unique ' if index.unique }}index if not exists "{{ index.render(relation) }}"
    on {{ relation }} {{ 'using ' ~ index.type if index.type }} ({{ index.columns | join(', ') }})
{%- endmacro %}
{% macro postgres__get_drop_index_sql(relation, index_name) %}drop index if exists {{ relation.include(database=false, identifier=false) }}."{{ index_name }}"{% endmacro %}
{% macro postgres__get_show_indexes_sql(relation) -%}
    select i.relname as name, m.amname as method, x.indisunique as "unique",
        array_to_string(array_agg(a.attname), ',') as column_names
    from pg_index as x
    join pg_class as i on i.oid = x.indexrelid
    join pg_am as m on m.oid = i.relam
    join pg_attribute as a on a.attrelid = x.indrelid and a.attnum = any(x.indkey)
    where x.indrelid = to_regclass('{{ relation.include(database=false) }}')
    group by 1, 2, 3
    order by 1, 2, 3
{%- endmacro %}
{# What changes a materialized view: called where the project has its own in place of any of it. #}
{% macro postgres__get_materialized_view_configuration_changes(existing_relation, new_config) %}
    {%- set wanted = {} -%}
    {%- for index in new_config.get('indexes') or [] -%}
        {%- set columns = [index.columns] if index.columns is string else index.columns -%}
        {%- do wanted.update({(columns | sort | join(','), index.type or 'btree', index.unique or false): index}) -%}
    {%- endfor -%}
    {%- set changes = [] -%}
    {%- for there in describe_materialized_view(existing_relation).indexes.rows -%}
        {%- set key = (there.column_names.split(',') | sort | join(','), there.method, there.unique) -%}
        {%- if wanted.pop(key, none) is none -%}
            {%- do changes.append({'action': 'drop', 'context': {'name': there.name}}) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- for index in wanted.values() -%}
        {%- do changes.append({'action': 'create', 'context': {'as_node_config': index}}) -%}
    {%- endfor -%}
    {%- do return({'indexes': changes, 'requires_full_refresh': false} if changes else none) -%}
{% endmacro %}
{% macro postgres__get_alter_materialized_view_as_sql(relation, configuration_changes, sql, existing_relation, backup_relation, intermediate_relation) -%}
    {%- if configuration_changes.requires_full_refresh -%}{{ get_replace_sql(existing_relation, relation, sql) }}
    {%- else -%}{{ update_indexes_on_materialized_view(relation, configuration_changes.indexes) }}
    {%- endif -%}
{%- endmacro %}
{% macro postgres__update_indexes_on_materialized_view(relation, index_changes) -%}
    {%- for change in index_changes -%}
        {%- if change.action == 'drop' -%}{{ get_drop_index_sql(relation, change.context.name) }}
        {%- else -%}{{ get_create_index_sql(relation, change.context.as_node_config) }}
        {%- endif -%}
        {{ ';' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
{% macro default__describe_materialized_view(relation) %}
    {%- do return({'materialized_view': none, 'indexes': run_query(get_show_indexes_sql(relation))}) -%}
{% endmacro %}
