{# The condition that keeps one version of each raw row: the current one, or the one known then. #}
{% macro known_version() -%}
    {%- if var('as_of') -%}
        {%- set moment = "'" ~ (var('as_of') | string | replace("'", "''")) ~ "'::timestamptz" -%}
        known_from <= {{ moment }} and (known_to is null or known_to > {{ moment }})
    {%- else -%}
        known_to is null
    {%- endif -%}
{%- endmacro %}
