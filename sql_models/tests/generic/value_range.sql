{# The rows whose value lies outside of a range; a null lies in any. #}
{% test value_range(model, column_name, min=none, max=none, inclusive=true) %}

{%- set equal = '=' if inclusive else '' %}

select *
from {{ model }}
where false
    {%- if min is not none %}
    or not {{ column_name }} >{{ equal }} {{ min }}
    {%- endif %}
    {%- if max is not none %}
    or not {{ column_name }} <{{ equal }} {{ max }}
    {%- endif %}

{% endtest %}
