{% macro postgres__get_columns_in_relation(relation) %}{{ return(adapter.columns(relation)) }}{% endmacro %}

{% macro sql_convert_columns_in_relation(table) %}
    {%- set columns = [] -%}
    {%- for row in table -%}{%- do columns.append(api.Column(*row)) -%}{%- endfor -%}
    {%- do return(columns) -%}
{% endmacro %}

{% macro get_list_of_column_names(columns) %}{{ return(columns | map(attribute='name') | list) }}{% endmacro %}

{% macro get_quoted_csv(column_names) %}
    {%- set quoted = [] -%}
    {%- for name in column_names -%}{%- do quoted.append(adapter.quote(name)) -%}{%- endfor -%}
    {%- do return(quoted | join(', ')) -%}
{% endmacro %}

{# A query of the same columns that gives no row. #}
{% macro default__get_empty_subquery_sql(select_sql, select_sql_header=none) -%}
    {{ select_sql_header if select_sql_header is not none }}
    select * from (
        {{ select_sql }}
    ) as __dbt_sbq
    where false
    limit 0
{%- endmacro %}

{% macro default__get_empty_schema_sql(columns) -%}
    {%- set untyped = columns.values() | rejectattr('data_type') | map(attribute='name') | list -%}
    {%- if untyped -%}{%- do exceptions.column_type_missing(untyped) -%}{%- endif -%}
    select
    {% for column in columns.values() -%}
        {{ cast('null', column['data_type']) }} as {{ adapter.quote(column['name']) if column.get('quote') else column['name'] }}{{ ', ' if not loop.last }}
    {% endfor -%}
{%- endmacro %}

{% macro get_column_schema_from_query(select_sql, select_sql_header=none) %}
    {%- do return(adapter.get_column_schema_from_query(get_empty_subquery_sql(select_sql, select_sql_header))) -%}
{% endmacro %}

{% macro default__get_columns_in_query(select_sql) %}
    {%- call statement('get_columns_in_query', fetch_result=true, auto_begin=false) -%}
        {{ get_empty_subquery_sql(select_sql) }}
    {%- endcall -%}
    {%- do return(load_result('get_columns_in_query').table.columns | map(attribute='name') | list) -%}
{% endmacro %}

{% macro default__alter_column_type(relation, column_name, new_column_type) %}
    {%- set temporary = adapter.quote(column_name ~ '__dbt_alter') -%}
    {%- set column = adapter.quote(column_name) -%}
    {%- call statement('alter_column_type') -%}
        alter table {{ relation }} add column {{ temporary }} {{ new_column_type }};
        update {{ relation }} set {{ temporary }} = {{ column }};
        alter table {{ relation }} drop column {{ column }} cascade;
        alter table {{ relation }} rename column {{ temporary }} to {{ column }}
    {%- endcall -%}
{% endmacro %}

{% macro default__alter_relation_add_remove_columns(relation, add_columns=none, remove_columns=none) %}
    {%- set changes = [] -%}
    {%- for column in add_columns or [] -%}
        {%- do changes.append('add column ' ~ column.quoted ~ ' ' ~ column.expanded_data_type) -%}
    {%- endfor -%}
    {%- for column in remove_columns or [] -%}
        {%- do changes.append('drop column ' ~ column.quoted) -%}
    {%- endfor -%}
    {%- do run_query('alter ' ~ relation.type ~ ' ' ~ relation ~ ' ' ~ changes | join(', ')) -%}
{% endmacro %}

{% macro diff_columns(source_columns, target_columns) %}
    {%- set there = target_columns | map(attribute='column') | list -%}
    {%- set missing = [] -%}
    {%- for column in source_columns if column.name not in there -%}{%- do missing.append(column) -%}{%- endfor -%}
    {%- do return(missing) -%}
{% endmacro %}

{% macro default__diff_column_data_types(source_columns, target_columns) %}
    {%- set changed = [] -%}
    {%- for source in source_columns -%}
        {%- for target in target_columns if target.name == source.name -%}
            {%- if source.expanded_data_type != target.expanded_data_type and not source.can_expand_to(target) -%}
                {%- do changed.append({'column_name': target.name, 'new_type': source.expanded_data_type}) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- do return(changed) -%}
{% endmacro %}

{% macro default__get_table_columns_and_constraints() %}{{ return(table_columns_and_constraints()) }}{% endmacro %}
{% macro table_columns_and_constraints() -%}
    (
    {{ (adapter.render_raw_columns_constraints(model['columns']) + adapter.render_raw_model_constraints(model.get('constraints') or [])) | join(',\n    ') }}
    )
{%- endmacro %}
{% macro default__get_column_names() -%}
    {%- for column in model['columns'].values() -%}
        {{ adapter.quote(column['name']) if column.get('quote') else column['name'] }}{{ ', ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
{% macro default__get_select_subquery(sql) -%}
    select {{ adapter.dispatch('get_column_names', 'dbt')() }} from (
        {{ sql }}
    ) as model_subq
{%- endmacro %}

{% macro format_columns(columns) %}
    {%- set formatted = [] -%}
    {%- for column in columns -%}{%- do formatted.append(adapter.dispatch('format_column', 'dbt')(column)) -%}{%- endfor -%}
    {%- do return(formatted) -%}
{% endmacro %}
{% macro default__format_column(column) %}
    {%- do return({'name': column.name, 'data_type': column.dtype, 'formatted': column.column.lower() ~ ' ' ~ column.dtype}) -%}
{% endmacro %}

{% macro default__get_assert_columns_equivalent(sql) %}{{ return(assert_columns_equivalent(sql)) }}{% endmacro %}
{% macro assert_columns_equivalent(sql) %}
    {%- if not model['columns'] -%}{%- do exceptions.raise_contract_error([], []) -%}{%- endif -%}
    {%- set there = format_columns(get_column_schema_from_query(sql, config.get('sql_header', none))) -%}
    {%- set promised = format_columns(get_column_schema_from_query(get_empty_schema_sql(model['columns']))) -%}
    {%- if there | map(attribute='formatted') | sort != promised | map(attribute='formatted') | sort -%}
        {%- do exceptions.raise_contract_error(promised, there) -%}
    {%- endif -%}
{% endmacro %}
