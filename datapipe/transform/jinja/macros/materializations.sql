{# What dbt's own materializations do, for those of a project that call them and go on from there. #}

{% materialization view, default %}
    {%- set target_relation = this.incorporate(type='view') -%}
    {{- put_in_place(target_relation, get_create_view_as_sql) -}}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}

{% materialization table, default %}
    {%- set target_relation = this.incorporate(type='table') -%}
    {{- put_in_place(target_relation, created_table) -}}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}
{% macro created_table(relation, sql) %}{{ return(get_create_table_as_sql(false, relation, sql)) }}{% endmacro %}

{% materialization incremental, default %}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- if existing is none or existing.is_view or should_full_refresh() -%}
        {{- put_in_place(target_relation, created_table) -}}
    {%- else -%}
        {{- run_hooks(pre_hooks, inside_transaction=false) -}}
        {{- run_hooks(pre_hooks, inside_transaction=true) -}}
        {%- set temporary = make_temp_relation(target_relation) -%}
        {%- do run_query(get_create_table_as_sql(true, temporary, sql)) -%}
        {%- set on_change = incremental_validate_on_schema_change(config.get('on_schema_change'), default='ignore') -%}
        {%- set columns = process_schema_changes(on_change, temporary, existing) or adapter.get_columns_in_relation(existing) -%}
        {%- set strategy = adapter.get_incremental_strategy_macro(context, config.get('incremental_strategy') or 'default') -%}
        {%- call statement('main') -%}
            {{ strategy({
                'target_relation': target_relation,
                'temp_relation': temporary,
                'unique_key': config.get('unique_key'),
                'dest_columns': columns,
                'incremental_predicates': config.get('predicates', none) or config.get('incremental_predicates', none),
            }) }}
        {%- endcall -%}
        {%- do adapter.drop_relation(temporary) -%}
        {{- finished(target_relation, existing) -}}
    {%- endif -%}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}

{% macro put_in_place(target_relation, created) %}
    {%- set existing = load_cached_relation(this) -%}
    {%- set intermediate = make_intermediate_relation(target_relation) -%}
    {%- do drop_relation_if_exists(load_cached_relation(intermediate)) -%}
    {{- run_hooks(pre_hooks, inside_transaction=false) -}}
    {{- run_hooks(pre_hooks, inside_transaction=true) -}}
    {%- call statement('main') -%}{{ created(intermediate, sql) }}{%- endcall -%}
    {%- if target_relation.is_table -%}{%- do create_indexes(intermediate) -%}{%- endif -%}
    {%- do drop_relation_if_exists(existing) -%}
    {%- do adapter.rename_relation(intermediate, target_relation) -%}
    {{- finished(target_relation, existing) -}}
{% endmacro %}

{% macro finished(target_relation, existing) %}
    {{- run_hooks(post_hooks, inside_transaction=true) -}}
    {%- do apply_grants(target_relation, config.get('grants'), should_revoke(existing, full_refresh_mode=true)) -%}
    {%- do persist_docs(target_relation, model) -%}
    {%- do adapter.commit() -%}
    {{- run_hooks(post_hooks, inside_transaction=false) -}}
{% endmacro %}
