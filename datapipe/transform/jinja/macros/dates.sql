{% macro postgres__current_timestamp() %}now(){% endmacro %}
{% macro postgres__current_timestamp_backcompat() %}current_timestamp::{{ type_timestamp() }}{% endmacro %}
{% macro postgres__current_timestamp_in_utc_backcompat() -%}
    (current_timestamp at time zone 'utc')::{{ type_timestamp() }}
{%- endmacro %}

{% macro default__date(year, month, day) -%}
    to_date('{{ modules.datetime.date(year, month, day).strftime('%Y-%m-%d') }}', 'YYYY-MM-DD')
{%- endmacro %}
{% macro default__date_trunc(datepart, date) %}date_trunc('{{ datepart }}', {{ date }}){% endmacro %}
{% macro postgres__dateadd(datepart, interval, from_date_or_timestamp) -%}
    {{ from_date_or_timestamp }} + ((interval '1 {{ datepart }}') * ({{ interval }}))
{%- endmacro %}

{# How many borders between such periods lie between the dates; hours and less are counted from days. #}
{% macro postgres__datediff(first_date, second_date, datepart) -%}
    {%- set first, second = '(' ~ first_date ~ ')::', '(' ~ second_date ~ ')::' -%}
    {%- if datepart == 'year' -%}
        (date_part('year', {{ second }}date) - date_part('year', {{ first }}date))
    {%- elif datepart in ['quarter', 'month'] -%}
        ({{ datediff(first_date, second_date, 'year') }} * {{ 4 if datepart == 'quarter' else 12 }} + date_part('{{ datepart }}', {{ second }}date) - date_part('{{ datepart }}', {{ first }}date))
    {%- elif datepart == 'day' -%}
        ({{ second }}date - {{ first }}date)
    {%- elif datepart == 'week' -%}
        ({{ datediff(first_date, second_date, 'day') }} / 7 + case
            when date_part('dow', {{ first }}timestamp) <= date_part('dow', {{ second }}timestamp)
                then case when {{ first_date }} <= {{ second_date }} then 0 else -1 end
            else case when {{ first_date }} <= {{ second_date }} then 1 else 0 end
        end)
    {%- elif datepart == 'hour' -%}
        ({{ datediff(first_date, second_date, 'day') }} * 24 + date_part('hour', {{ second }}timestamp) - date_part('hour', {{ first }}timestamp))
    {%- elif datepart == 'minute' -%}
        ({{ datediff(first_date, second_date, 'hour') }} * 60 + date_part('minute', {{ second }}timestamp) - date_part('minute', {{ first }}timestamp))
    {%- elif datepart in ['second', 'millisecond', 'microsecond'] -%}
        {%- set of_a_minute = {'second': 60, 'millisecond': 60000, 'microsecond': 60000000}[datepart] -%}
        ({{ datediff(first_date, second_date, 'minute') }} * {{ of_a_minute }} + floor(date_part('{{ datepart }}', {{ second }}timestamp)) - floor(date_part('{{ datepart }}', {{ first }}timestamp)))
    {%- else -%}
        {{ exceptions.raise_compiler_error('datediff() knows no ' ~ datepart ~ '. Use year, quarter, month, week, day, hour, minute, second, millisecond or microsecond.') }}
    {%- endif -%}
{%- endmacro %}

{# PostgreSQL has no interval of a quarter. #}
{% macro postgres__last_day(date, datepart) -%}
    {%- if datepart == 'quarter' -%}
        cast({{ dbt.dateadd('day', '-1', dbt.dateadd('month', '3', dbt.date_trunc(datepart, date))) }} as date)
    {%- else -%}
        {{ dbt.default_last_day(date, datepart) }}
    {%- endif -%}
{%- endmacro %}
{% macro default_last_day(date, datepart) -%}
    cast({{ dbt.dateadd('day', '-1', dbt.dateadd(datepart, '1', dbt.date_trunc(datepart, date))) }} as date)
{%- endmacro %}

{% macro default__get_intervals_between(start_date, end_date, datepart) -%}
    {%- call statement('get_intervals_between', fetch_result=true) -%}
        select {{ dbt.datediff(start_date, end_date, datepart) }}
    {%- endcall -%}
    {%- set found = load_result('get_intervals_between') -%}
    {%- do return(found['data'][0][0] if found and found['data'] else 1) -%}
{%- endmacro %}

{# One row for each period from the start up to, and with, the last that begins before the end. #}
{% macro default__date_spine(datepart, start_date, end_date) %}
with numbers as (
    {{ dbt.generate_series(dbt.get_intervals_between(start_date, end_date, datepart)) }}
),
periods as (
    select ({{ dbt.dateadd(datepart, 'row_number() over (order by 1) - 1', start_date) }}) as date_{{ datepart }}
    from numbers
),
spine as (
    select * from periods where date_{{ datepart }} <= {{ end_date }}
)
select * from spine
{% endmacro %}

{% macro default__get_powers_of_two(upper_bound) %}
    {%- if upper_bound <= 0 -%}
        {%- do exceptions.raise_compiler_error('A series must have at least one number, not ' ~ upper_bound ~ '.') -%}
    {%- endif -%}
    {%- for power in range(1, 100) if upper_bound <= 2 ** power -%}{%- do return(power) -%}{%- endfor -%}
{% endmacro %}

{% macro default__generate_series(upper_bound) -%}
    {%- set powers = dbt.get_powers_of_two(upper_bound) -%}
    with p as (
        select 0 as generated_number union all select 1
    ),
    unioned as (
        select {% for power in range(powers) %}p{{ power }}.generated_number * power(2, {{ power }}) + {% endfor %}1 as generated_number
        from {% for power in range(powers) %}p as p{{ power }}{{ ' cross join ' if not loop.last }}{% endfor %}
    )
    select * from unioned where generated_number <= {{ upper_bound }} order by generated_number
{%- endmacro %}

{% macro convert_datetime(date_str, date_fmt) %}
    {%- set mistake = 'The date ' ~ date_str ~ ' is not written as ' ~ date_fmt ~ '.' -%}
    {%- do return(try_or_compiler_error(mistake, modules.datetime.datetime.strptime, date_str.strip(), date_fmt)) -%}
{% endmacro %}

{% macro dates_in_range(start_date_str, end_date_str=none, in_fmt='%Y%m%d', out_fmt='%Y%m%d') %}
    {%- set first = convert_datetime(start_date_str, in_fmt) -%}
    {%- set last = convert_datetime(end_date_str if end_date_str is not none else start_date_str, in_fmt) -%}
    {%- if last < first -%}
        {%- do exceptions.raise_compiler_error('The range begins after its end: ' ~ first ~ ', ' ~ last ~ '.') -%}
    {%- endif -%}
    {%- set dates = [] -%}
    {%- for days in range((last - first).days + 1) -%}
        {%- set date = first + modules.datetime.timedelta(days=days) -%}
        {%- do dates.append(date.strftime(out_fmt) if out_fmt else date) -%}
    {%- endfor -%}
    {%- do return(dates) -%}
{% endmacro %}

{% macro partition_range(raw_partition_date, date_fmt='%Y%m%d') %}
    {%- set given = (raw_partition_date | string).split(',') -%}
    {%- if given | length > 2 -%}
        {%- do exceptions.raise_compiler_error('A range is a date, or two with a comma between, not ' ~ raw_partition_date ~ '.') -%}
    {%- endif -%}
    {%- do return(dates_in_range(given[0], given[1] if given | length == 2 else none, in_fmt=date_fmt)) -%}
{% endmacro %}

{% macro py_current_timestring() %}
    {%- do return(modules.datetime.datetime.now().strftime('%Y%m%d%H%M%S%f')) -%}
{% endmacro %}
