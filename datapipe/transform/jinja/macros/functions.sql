{# The statement that makes a function; each part of it can be overridden by a macro of its name. #}

{% macro function_statement(macro, target_relation) %}{{ return(adapter.dispatch(macro, 'dbt')(target_relation)) }}{% endmacro %}

{% macro default__scalar_function_sql(target_relation) %}
    {{- scalar_function_create_replace_signature_sql(target_relation) }}
    {{ scalar_function_body_sql() }};
{%- endmacro %}
{% macro default__scalar_function_create_replace_signature_sql(target_relation) -%}
    create or replace function {{ target_relation.render() }} ({{ formatted_scalar_function_args_sql() }})
    returns {{ model.returns.data_type }}
    {{ scalar_function_volatility_sql() }}
    as
{%- endmacro %}
{% macro postgres__formatted_scalar_function_args_sql() %}
    {%- for argument in model.arguments -%}
        {%- set value = argument.get('default_value') -%}
        {{ argument.name }} {{ argument.data_type }}{{ ' default ' ~ value if value is not none }}{{ ', ' if not loop.last }}
    {%- endfor -%}
{% endmacro %}
{% macro default__scalar_function_body_sql() -%}
    $$
       {{ model.compiled_code }}
    $$ language sql
{%- endmacro %}
{% macro default__scalar_function_volatility_sql() -%}
    {{ {'deterministic': 'immutable', 'stable': 'stable', 'non-deterministic': 'volatile'}.get(model.config.get('volatility'), '') }}
{%- endmacro %}
{% macro default__unsupported_volatility_warning(volatility) %}
    {%- do exceptions.warn('The volatility ' ~ volatility ~ ' of the function ' ~ model.name ~ ' means nothing to PostgreSQL.') -%}
{% endmacro %}

{# For the macros of a project's own that make aggregates, or functions in other languages. #}
{% macro default__get_aggregate_function_create_replace_signature(target_relation) -%}
    create or replace aggregate function {{ target_relation.render() }} ({{ get_formatted_aggregate_function_args() }})
    returns {{ model.returns.data_type }}
    {{ get_function_language_specifier() }}
    {{ get_aggregate_function_volatility_specifier() }}
    as
{%- endmacro %}
{% macro default__get_formatted_aggregate_function_args() %}{{ formatted_scalar_function_args_sql() }}{% endmacro %}
{% macro default__get_aggregate_function_volatility_specifier() %}{{ scalar_function_volatility_sql() }}{% endmacro %}
{% macro default__get_function_language_specifier() -%}
    {%- set language = model.get('language') -%}
    {{ '' if language == 'sql' else 'language js' if language == 'javascript' else 'language ' ~ language }}
{%- endmacro %}
