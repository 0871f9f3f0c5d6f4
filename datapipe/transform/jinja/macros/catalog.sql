{% macro postgres__information_schema_name(database) %}{%- do adapter.verify_database(database) if database -%}information_schema{% endmacro %}

{% macro postgres__list_relations_without_caching(schema_relation) %}
    {%- call statement('list_relations_without_caching', fetch_result=true) -%}
        select '{{ schema_relation.database }}' as database, tablename as name, schemaname as schema, 'table' as type
        from pg_tables where schemaname ilike '{{ schema_relation.schema }}'
        union all
        select '{{ schema_relation.database }}', viewname, schemaname, 'view'
        from pg_views where schemaname ilike '{{ schema_relation.schema }}'
        union all
        select '{{ schema_relation.database }}', matviewname, schemaname, 'materialized_view'
        from pg_matviews where schemaname ilike '{{ schema_relation.schema }}'
    {%- endcall -%}
    {%- do return(load_result('list_relations_without_caching').table) -%}
{% endmacro %}

{% macro postgres__list_schemas(database) %}
    {%- do return(run_query('select distinct nspname from pg_namespace')) -%}
{% endmacro %}
{% macro postgres__check_schema_exists(information_schema, schema) %}
    {%- do return(run_query("select count(*) from pg_namespace where nspname = '" ~ schema ~ "'")) -%}
{% endmacro %}

{# Every column of every table and view of some schemas, with its comment. #}
{% macro postgres__get_catalog(information_schema, schemas) %}
    {%- set named -%}
        ({% for schema in schemas %}upper(n.nspname) = upper('{{ schema }}'){{ ' or ' if not loop.last }}{% endfor %})
    {%- endset -%}
    {%- do return(run_query(_catalog_query(information_schema.database, named))) -%}
{% endmacro %}
{% macro postgres__get_catalog_relations(information_schema, relations) %}
    {%- set named -%}
        (
        {%- for relation in relations -%}
            (upper(n.nspname) = upper('{{ relation.schema }}'){% if relation.identifier %} and upper(c.relname) = upper('{{ relation.identifier }}'){% endif %})
            {{- ' or ' if not loop.last }}
        {%- endfor -%}
        )
    {%- endset -%}
    {%- do return(run_query(_catalog_query(information_schema.database, named))) -%}
{% endmacro %}
{% macro _catalog_query(database, condition) -%}
    select '{{ database }}' as table_database, n.nspname as table_schema, c.relname as table_name,
        case c.relkind when 'v' then 'VIEW' when 'm' then 'MATERIALIZED VIEW' else 'BASE TABLE' end as table_type,
        d.description as table_comment, a.attname as column_name, a.attnum as column_index,
        format_type(a.atttypid, a.atttypmod) as column_type, e.description as column_comment,
        pg_get_userbyid(c.relowner) as table_owner
    from pg_namespace as n
    join pg_class as c on c.relnamespace = n.oid
    join pg_attribute as a on a.attrelid = c.oid
    left join pg_description as d on d.objoid = c.oid and d.objsubid = 0 and d.classoid = 'pg_class'::regclass
    left join pg_description as e on e.objoid = c.oid and e.objsubid = a.attnum and e.classoid = 'pg_class'::regclass
    where {{ condition }} and c.relkind in ('r', 'v', 'f', 'p', 'm') and c.relpersistence in ('p', 'u')
        and a.attnum > 0 and not a.attisdropped
    order by 2, 3, 7
{%- endmacro %}

{# Which view reads which relation. #}
{% macro postgres__get_relations() %}
    {%- call statement('relations', fetch_result=true) -%}
        select distinct vn.nspname as dependent_schema, v.relname as dependent_name,
            rn.nspname as referenced_schema, r.relname as referenced_name
        from pg_depend as d
        join pg_rewrite as w on d.classid = 'pg_rewrite'::regclass and w.oid = d.objid
        join pg_class as v on v.oid = w.ev_class
        join pg_namespace as vn on vn.oid = v.relnamespace
        join pg_class as r on d.refclassid = 'pg_class'::regclass and r.oid = d.refobjid and r.oid <> v.oid
        join pg_namespace as rn on rn.oid = r.relnamespace
        where rn.nspname <> 'information_schema' and rn.nspname not like 'pg\_%'
        order by 1, 2, 3, 4
    {%- endcall -%}
    {%- do return(load_result('relations').table) -%}
{% endmacro %}
{% macro postgres_get_relations() %}{{ return(postgres__get_relations()) }}{% endmacro %}

{% macro default__collect_freshness(source, loaded_at_field, filter) %}
    {%- call statement('collect_freshness', fetch_result=true, auto_begin=false) -%}
        select max({{ loaded_at_field }}) as max_loaded_at, {{ current_timestamp() }} as snapshotted_at
        from {{ source }}
        {% if filter %}where {{ filter }}{% endif %}
    {%- endcall -%}
    {%- do return(load_result('collect_freshness')) -%}
{% endmacro %}
{% macro default__collect_freshness_custom_sql(source, loaded_at_query) %}
    {%- call statement('collect_freshness_custom_sql', fetch_result=true, auto_begin=false) -%}
        with source_query as (
            {{ loaded_at_query }}
        )
        select (select * from source_query) as max_loaded_at, {{ current_timestamp() }} as snapshotted_at
    {%- endcall -%}
    {%- do return(load_result('collect_freshness_custom_sql')) -%}
{% endmacro %}
{% macro default__validate_sql(sql) %}
    {%- call statement('validate_sql') -%}explain {{ sql }}{%- endcall -%}
    {%- do return(load_result('validate_sql')) -%}
{% endmacro %}
{% macro get_show_sql(compiled_code, sql_header, limit) -%}
    {{ sql_header if sql_header is not none }}
    {{ get_limit_subquery_sql(compiled_code, limit) }}
{%- endmacro %}
{% macro get_limit_subquery_sql(sql, limit) %}{{ adapter.dispatch('get_limit_sql', 'dbt')(sql, limit) }}{% endmacro %}
{% macro default__get_limit_sql(sql, limit) -%}
    {{ sql }}
    {% if limit is not none %}limit {{ limit }}{% endif %}
{%- endmacro %}
{% macro is_core_v2() %}{{ return(false) }}{% endmacro %}
