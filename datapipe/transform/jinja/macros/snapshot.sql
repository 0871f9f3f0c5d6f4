{% macro postgres__snapshot_string_as_time(timestamp) %}{{ return("'" ~ timestamp ~ "'::timestamp without time zone") }}{% endmacro %}
{% macro postgres__snapshot_get_time() %}{{ current_timestamp() }}::timestamp without time zone{% endmacro %}
{% macro default__snapshot_hash_arguments(args) -%}
    md5({% for arg in args %}coalesce(cast({{ arg }} as varchar), ''){{ " || '|' || " if not loop.last }}{% endfor %})
{%- endmacro %}
{% macro get_snapshot_get_time_data_type() %}
    {%- do return(get_column_schema_from_query('select ' ~ snapshot_get_time() ~ ' as dbt_snapshot_time')[0].dtype) -%}
{% endmacro %}

{% macro default__get_snapshot_table_column_names() %}
    {%- set names = {} -%}
    {%- for name in ['dbt_valid_to', 'dbt_valid_from', 'dbt_scd_id', 'dbt_updated_at', 'dbt_is_deleted'] -%}
        {%- do names.update({name: name}) -%}
    {%- endfor -%}
    {%- do return(names) -%}
{% endmacro %}

{% macro strategy_dispatch(name) %}
    {%- set package, _, bare = ('.' ~ name if '.' not in name else name).rpartition('.') -%}
    {%- set macro = bare ~ '_strategy' if bare.startswith('snapshot_') else 'snapshot_' ~ bare ~ '_strategy' -%}
    {%- set found = context[package].get(macro) if package else context.get(macro) -%}
    {%- if not found -%}{%- do exceptions.raise_compiler_error('There is no snapshot strategy ' ~ name ~ ': no macro ' ~ macro ~ '.') -%}{%- endif -%}
    {%- do return(found) -%}
{% endmacro %}

{% macro snapshot_timestamp_strategy(node, snapshotted_rel, current_rel, model_config, target_exists) %}
    {%- set key, updated_at = config.get('unique_key'), config.get('updated_at') -%}
    {%- set names = config.get('snapshot_table_column_names') or get_snapshot_table_column_names() -%}
    {%- do return({
        'unique_key': key,
        'updated_at': updated_at,
        'row_changed': '(' ~ snapshotted_rel ~ '.' ~ names.dbt_valid_from ~ ' < ' ~ current_rel ~ '.' ~ updated_at ~ ')',
        'scd_id': snapshot_hash_arguments(api.Relation.scd_args(key, updated_at)),
        'invalidate_hard_deletes': adapter.get_hard_deletes_behavior(config) == 'invalidate',
        'hard_deletes': adapter.get_hard_deletes_behavior(config),
    }) -%}
{% endmacro %}

{% macro default__snapshot_string_as_time(timestamp) %}{{ return("'" ~ timestamp ~ "'") }}{% endmacro %}

{# Which columns to compare, and whether the table lacks some of them. #}
{% macro snapshot_check_all_get_existing_columns(node, target_exists, check_cols_config) %}
    {%- set all = check_cols_config == 'all' -%}
    {%- if not all and not (check_cols_config is iterable and check_cols_config is not string and check_cols_config | length) -%}
        {%- do exceptions.raise_compiler_error('check_cols is all, or a list of columns, not ' ~ check_cols_config ~ '.') -%}
    {%- endif -%}
    {%- set now = get_columns_in_query(node['compiled_code']) -%}
    {%- set wanted = now if all else check_cols_config -%}
    {%- if not target_exists -%}{%- do return([false, wanted]) -%}{%- endif -%}
    {%- set there = adapter.get_columns_in_relation(this) | map(attribute='name') | map('lower') | list -%}
    {%- set compared = [] -%}
    {%- set lacking = [] -%}
    {%- for column in wanted -%}
        {%- if column | lower in there -%}{%- do compared.append(adapter.quote(column) if all else column) -%}
        {%- else -%}{%- do lacking.append(column) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- do return([(lacking | length) > 0, compared]) -%}
{% endmacro %}
{% macro default__snapshot_check_strategy(node, snapshotted_rel, current_rel, model_config, target_exists) %}
    {%- set key = config.get('unique_key') -%}
    {%- set updated_at = config.get('updated_at') or snapshot_get_time() -%}
    {%- set column_added, columns = snapshot_check_all_get_existing_columns(node, target_exists, config.get('check_cols')) -%}
    {%- set row_changed -%}
        (
        {%- if column_added -%}true
        {%- else -%}
            {%- for column in columns -%}
                {{ snapshotted_rel }}.{{ column }} is distinct from {{ current_rel }}.{{ column }}{{ ' or ' if not loop.last }}
            {%- endfor -%}
        {%- endif -%}
        )
    {%- endset -%}
    {%- do return({
        'unique_key': key,
        'updated_at': updated_at,
        'row_changed': row_changed,
        'scd_id': snapshot_hash_arguments(api.Relation.scd_args(key, updated_at)),
        'invalidate_hard_deletes': adapter.get_hard_deletes_behavior(config) == 'invalidate',
        'hard_deletes': adapter.get_hard_deletes_behavior(config),
    }) -%}
{% endmacro %}
