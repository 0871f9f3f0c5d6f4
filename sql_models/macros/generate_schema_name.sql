{# A model's schema is called just what its config says; the past has schemas of its own. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- set schema = target.schema if custom_schema_name is none else custom_schema_name | trim -%}
    {{ schema ~ ('_as_of' if var('as_of') else '') }}
{%- endmacro %}
