{% macro statement(name=none, fetch_result=false, auto_begin=true, language='sql') -%}
    {%- if execute -%}
        {%- set sql = caller() -%}
        {%- if language != 'sql' -%}
            {%- do exceptions.raise_compiler_error('A statement is written in SQL, not in ' ~ language ~ '.') -%}
        {%- endif -%}
        {%- if name == 'main' -%}{%- do write(sql) -%}{%- endif -%}
        {%- set response, table = adapter.execute(sql, auto_begin=auto_begin, fetch=fetch_result) -%}
        {%- if name is not none -%}
            {%- do store_result(name, response=response, agate_table=table) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{% macro noop_statement(name=none, message=none, code=none, rows_affected=none, res=none) -%}
    {%- set sql = caller() -%}
    {%- if name == 'main' -%}{%- do write(sql) -%}{%- endif -%}
    {%- if name is not none -%}
        {%- do store_raw_result(name, message=message, code=code, rows_affected=rows_affected, agate_table=res) -%}
    {%- endif -%}
{%- endmacro %}

{% macro run_query(sql) %}
    {%- call statement('run_query_statement', fetch_result=true, auto_begin=false) -%}{{ sql }}{%- endcall -%}
    {%- do return(load_result('run_query_statement').table) -%}
{% endmacro %}

{% macro is_incremental() %}{{ return(builtins.is_incremental()) }}{% endmacro %}
{% macro should_full_refresh() %}{{ return(builtins.should_full_refresh()) }}{% endmacro %}
{% macro should_store_failures() %}{{ return(builtins.should_store_failures()) }}{% endmacro %}
