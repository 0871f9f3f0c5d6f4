{# The number of rows where it is outside of a range: of the model, or of each group that it has. #}
{% test row_count(model, min=none, max=none, group_by=[]) %}

{%- set groups = [group_by] if group_by is string else group_by %}

select
    {%- for column in groups %}
    {{ column }},
    {%- endfor %}
    count(*) as number_of_rows
from {{ model }}
{%- if groups %}
group by {{ groups | join(', ') }}
{%- endif %}
having false
    {%- if min is not none %}
    or count(*) < {{ min }}
    {%- endif %}
    {%- if max is not none %}
    or count(*) > {{ max }}
    {%- endif %}

{% endtest %}
