{# The condition that keeps one version of each raw row: the current one, or the one known then. #}
{% macro known_version() -%}
    {%- if var('as_of') -%}
        {%- set as_of = var('as_of') | string | replace("'", "''") -%}
        {#- Where no zone is written it is UTC, whatever zone the server is in. -#}
        {%- if modules.re.search(':.*[+-]|[a-z]$', as_of | lower) -%}
            {%- set moment = "'" ~ as_of ~ "'::timestamptz" -%}
        {%- else -%}
            {%- set moment = "('" ~ as_of ~ "'::timestamp at time zone 'UTC')" -%}
        {%- endif -%}
        known_from <= {{ moment }} and (known_to is null or known_to > {{ moment }})
    {%- else -%}
        known_to is null
    {%- endif -%}
{%- endmacro %}
