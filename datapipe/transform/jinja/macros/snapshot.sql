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

{# What the materialization is made of: called where the project has its own in place of any of it. #}
{% macro default__get_true_sql() %}{{ return('true') }}{% endmacro %}
{% macro default__post_snapshot(staging_relation) %}{% endmacro %}
{% macro check_time_data_types(sql) %}{# dbt only warns #}{% endmacro %}
{% macro default__create_columns(relation, columns) %}
    {%- for column in columns -%}
        {%- call statement() -%}alter table {{ relation }} add column {{ adapter.quote(column.name) }} {{ column.data_type }}{%- endcall -%}
    {%- endfor -%}
{% endmacro %}

{% macro unique_key_fields(unique_key) %}
    {%- if unique_key is string -%}{{ unique_key }} as dbt_unique_key
    {%- else -%}{%- for key in unique_key -%}{{ key }} as dbt_unique_key_{{ loop.index }}{{ ', ' if not loop.last }}{%- endfor -%}
    {%- endif -%}
{% endmacro %}
{% macro unique_key_join_on(unique_key, identifier, from_identifier) %}
    {%- set names = ['dbt_unique_key'] if unique_key is string else unique_key_names(unique_key) -%}
    {%- for name in names -%}{{ identifier }}.{{ name }} = {{ from_identifier }}.{{ name }}{{ ' and ' if not loop.last }}{%- endfor -%}
{% endmacro %}
{% macro unique_key_names(unique_key) %}
    {%- set names = [] -%}
    {%- for _ in unique_key -%}{%- do names.append('dbt_unique_key_' ~ loop.index) -%}{%- endfor -%}
    {%- do return(names) -%}
{% endmacro %}
{% macro unique_key_is_null(unique_key, identifier) %}{{ identifier }}.dbt_unique_key{{ '_1' if unique_key is not string }} is null{% endmacro %}
{% macro unique_key_is_not_null(unique_key, identifier) %}{{ identifier }}.dbt_unique_key{{ '_1' if unique_key is not string }} is not null{% endmacro %}
{% macro get_dbt_valid_to_current(strategy, columns) -%}
    coalesce(nullif({{ strategy.updated_at }}, {{ strategy.updated_at }}), {{ config.get('dbt_valid_to_current') or 'null' }}) as {{ columns.dbt_valid_to }}
{%- endmacro %}
{% macro is_open_version(valid_to) -%}
    {%- set current = config.get('dbt_valid_to_current') -%}
    ({{ valid_to ~ ' = ' ~ current ~ ' or ' if current }}{{ valid_to }} is null)
{%- endmacro %}

{% macro default__build_snapshot_table(strategy, sql) %}
    {%- set names = config.get('snapshot_table_column_names') or get_snapshot_table_column_names() -%}
    select *, {{ strategy.scd_id }} as {{ names.dbt_scd_id }}, {{ strategy.updated_at }} as {{ names.dbt_updated_at }},
        {{ strategy.updated_at }} as {{ names.dbt_valid_from }}, {{ get_dbt_valid_to_current(strategy, names) }}
        {{- ", 'False' as " ~ names.dbt_is_deleted if strategy.hard_deletes == 'new_record' }}
    from (
        {{ sql }}
    ) sbq
{% endmacro %}

{# The versions that begin, those that end, and those of rows that are gone. #}
{% macro default__snapshot_staging_table(strategy, source_sql, target_relation) -%}
    {%- set names = config.get('snapshot_table_column_names') or get_snapshot_table_column_names() -%}
    {%- set key, updated_at, now = strategy.unique_key, strategy.updated_at, snapshot_get_time() -%}
    {%- set flags = strategy.hard_deletes == 'new_record' -%}
    {%- set gone = 'snapshotted_data.' ~ names.dbt_is_deleted ~ " = 'True'" if flags else 'false' -%}
    {%- set matches = unique_key_join_on(key, 'snapshotted_data', 'source_data') -%}
    {%- set ended -%}
        from snapshotted_data left join source_keys as source_data on {{ matches }}
        where {{ unique_key_is_null(key, 'source_data') }} and not coalesce({{ gone }}, false)
    {%- endset -%}
    with snapshot_query as (
        {{ source_sql }}
    ),
    snapshotted_data as (
        select *, {{ unique_key_fields(key) }} from {{ target_relation }} where {{ is_open_version(names.dbt_valid_to) }}
    ),
    source_keys as (select *, {{ unique_key_fields(key) }} from snapshot_query),
    source_times as (
        select *, {{ updated_at }} as {{ names.dbt_updated_at }}, {{ updated_at }} as {{ names.dbt_valid_from }} from source_keys
    ),
    source_begins as (
        select *, {{ get_dbt_valid_to_current(strategy, names) }}, {{ strategy.scd_id }} as {{ names.dbt_scd_id }} from source_times
    )
    select 'insert' as dbt_change_type, source_data.*{{ ", 'False' as " ~ names.dbt_is_deleted if flags }}
    from source_begins as source_data left join snapshotted_data on {{ matches }}
    where {{ unique_key_is_null(key, 'snapshotted_data') }} or {{ strategy.row_changed }} or {{ gone }}
    union all
    select 'update', source_data.*, source_data.{{ names.dbt_valid_from }}, snapshotted_data.{{ names.dbt_scd_id }}{{ ', null' if flags }}
    from source_times as source_data join snapshotted_data on {{ matches }}
    where {{ strategy.row_changed }} or {{ gone }}
    {%- if strategy.hard_deletes in ['invalidate', 'new_record'] %}
    union all
    select 'delete', source_data.*, {{ now }}, {{ now }}, {{ now }}, snapshotted_data.{{ names.dbt_scd_id }}{{ ', null' if flags }}
    {{ ended }}
    {%- endif %}
    {%- if flags %}
    {%- set there = adapter.get_columns_in_relation(target_relation) | map(attribute='name') | list %}
    union all
    select 'insert',
        {% for name in get_columns_in_query(source_sql) -%}
            {{ 'snapshotted_data' if name in there else 'source_data' }}.{{ adapter.quote(name) }},
        {%- endfor %}
        {% for name in (['dbt_unique_key'] if key is string else unique_key_names(key)) %}snapshotted_data.{{ name }}, {% endfor %}
        {{ now }}, {{ now }}, snapshotted_data.{{ names.dbt_valid_to }},
        {{ snapshot_hash_arguments(['snapshotted_data.' ~ names.dbt_scd_id, now]) }}, 'True'
    {{ ended }}
    {%- endif %}
{%- endmacro %}

{% macro postgres__snapshot_merge_sql(target, source, insert_cols) -%}
    {%- set names = config.get('snapshot_table_column_names') or get_snapshot_table_column_names() -%}
    update {{ target }} as dbt_target set {{ names.dbt_valid_to }} = dbt_source.{{ names.dbt_valid_to }}
    from {{ source }} as dbt_source
    where dbt_source.{{ names.dbt_scd_id }}::text = dbt_target.{{ names.dbt_scd_id }}::text
        and dbt_source.dbt_change_type in ('update', 'delete') and {{ is_open_version('dbt_target.' ~ names.dbt_valid_to) }};
    insert into {{ target }} ({{ insert_cols | join(', ') }})
    select {{ insert_cols | join(', ') }} from {{ source }} where dbt_change_type = 'insert';
{%- endmacro %}

{% macro build_snapshot_staging_table(strategy, sql, target_relation) %}
    {%- set staging = make_temp_relation(target_relation) -%}
    {%- call statement('build_snapshot_staging_relation') -%}
        {{ create_table_as(true, staging, snapshot_staging_table(strategy, sql, target_relation)) }}
    {%- endcall -%}
    {%- do return(staging) -%}
{% endmacro %}
