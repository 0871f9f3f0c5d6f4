{# What materializations of a project's own call. #}

{% macro run_hooks(hooks, inside_transaction=true) %}
    {%- for hook in hooks if hook.get('transaction', true) == inside_transaction -%}
        {%- set statement_ = render(hook.get('sql')) -%}
        {%- if statement_ | trim -%}
            {%- call statement(auto_begin=inside_transaction) -%}{{ statement_ }}{%- endcall -%}
        {%- endif -%}
    {%- endfor -%}
{% endmacro %}
{% macro make_hook_config(sql, inside_transaction) %}{{ tojson({'sql': sql, 'transaction': inside_transaction}) }}{% endmacro %}
{% macro before_begin(sql) %}{{ make_hook_config(sql, inside_transaction=false) }}{% endmacro %}
{% macro in_transaction(sql) %}{{ make_hook_config(sql, inside_transaction=true) }}{% endmacro %}
{% macro after_commit(sql) %}{{ make_hook_config(sql, inside_transaction=false) }}{% endmacro %}

{% macro set_sql_header(config) %}{%- do config.set('sql_header', caller()) -%}{% endmacro %}

{% macro default__copy_grants() %}{{ return(false) }}{% endmacro %}
{% macro default__support_multiple_grantees_per_dcl_statement() %}{{ return(true) }}{% endmacro %}
{% macro should_revoke(existing_relation, full_refresh_mode=true) %}
    {%- if not existing_relation -%}{%- do return(false) -%}{%- endif -%}
    {%- do return(copy_grants() if full_refresh_mode else true) -%}
{% endmacro %}
{% macro postgres__get_show_grant_sql(relation) -%}
    select grantee, privilege_type
    from information_schema.role_table_grants
    where grantor = current_role and grantee <> current_role
        and table_schema = '{{ relation.schema }}' and table_name = '{{ relation.identifier }}'
{%- endmacro %}
{% macro default__get_grant_sql(relation, privilege, grantees) %}grant {{ privilege }} on {{ relation }} to {{ grantees | join(', ') }}{% endmacro %}
{% macro default__get_revoke_sql(relation, privilege, grantees) %}revoke {{ privilege }} on {{ relation }} from {% for grantee in grantees %}{{ adapter.quote(grantee) }}{{ ', ' if not loop.last }}{% endfor %}{% endmacro %}
{% macro default__get_dcl_statement_list(relation, grant_config, get_dcl_macro) %}
    {%- set statements = [] -%}
    {%- set at_once = support_multiple_grantees_per_dcl_statement() -%}
    {%- for privilege, grantees in grant_config.items() -%}
        {%- for some in ([grantees] if at_once else grantees | batch(1)) if some -%}
            {%- do statements.append(get_dcl_macro(relation, privilege, some)) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- do return(statements) -%}
{% endmacro %}
{% macro default__call_dcl_statements(dcl_statement_list) %}
    {%- call statement('grants') -%}{{ dcl_statement_list | join(';\n') }};{%- endcall -%}
{% endmacro %}
{% macro default__apply_grants(relation, grant_config, should_revoke=true) %}
    {%- if grant_config -%}
        {%- set there = adapter.standardize_grants_dict(run_query(get_show_grant_sql(relation))) if should_revoke else {} -%}
        {%- set revoked = get_dcl_statement_list(relation, diff_of_two_dicts(there, grant_config), get_revoke_sql) -%}
        {%- set granted = get_dcl_statement_list(relation, diff_of_two_dicts(grant_config, there), get_grant_sql) -%}
        {%- if revoked + granted -%}{%- do call_dcl_statements(revoked + granted) -%}{%- endif -%}
    {%- endif -%}
{% endmacro %}

{% macro postgres_escape_comment(comment) -%}
    {%- set mark = '$dbt_comment_literal_block$' -%}
    {%- if comment is not string or mark in comment -%}
        {%- do exceptions.raise_compiler_error('This cannot be a comment: ' ~ comment) -%}
    {%- endif -%}
    {{ mark }}{{ comment }}{{ mark }}
{%- endmacro %}
{% macro postgres__alter_relation_comment(relation, relation_comment) -%}
    comment on {{ relation.type | replace('_', ' ') }} {{ relation }} is {{ postgres_escape_comment(relation_comment) }};
{%- endmacro %}
{% macro postgres__alter_column_comment(relation, column_dict) -%}
    {%- set there = adapter.get_columns_in_relation(relation) | map(attribute='name') | list -%}
    {%- for name, column in column_dict.items() if name in there %}
    comment on column {{ relation }}.{{ adapter.quote(name) if column.get('quote') else name }} is {{ postgres_escape_comment(column['description']) }};
    {%- endfor -%}
{%- endmacro %}
{% macro default__persist_docs(relation, model, for_relation=true, for_columns=true) %}
    {%- if for_relation and config.persist_relation_docs() and model.description -%}
        {%- do run_query(alter_relation_comment(relation, model.description)) -%}
    {%- endif -%}
    {%- if for_columns and config.persist_column_docs() and model.columns -%}
        {%- set comments = alter_column_comment(relation, model.columns) -%}
        {%- if comments | trim -%}{%- do run_query(comments) -%}{%- endif -%}
    {%- endif -%}
{% endmacro %}

{% macro default__get_test_sql(main_sql, fail_calc, warn_if, error_if, limit) -%}
    select {{ fail_calc }} as failures, {{ fail_calc }} {{ warn_if }} as should_warn, {{ fail_calc }} {{ error_if }} as should_error
    from (
        {{ main_sql }}
        {{ 'limit ' ~ limit if limit is not none }}
    ) dbt_internal_test
{%- endmacro %}
{% materialization test, default %}
    {%- call statement('main', fetch_result=True) -%}
        {{ get_test_sql(sql, config.get('fail_calc'), config.get('warn_if'), config.get('error_if'), config.get('limit')) }}
    {%- endcall -%}
    {{ return({'relations': []}) }}
{% endmaterialization %}
{% macro result_of_materialization(package, materialization) %}
    {%- set made = context[package][materialization]() -%}
    {{ return({'made': made, 'main': load_result('main')}) }}
{% endmacro %}
{% macro result_of_test(package, materialization) %}
    {%- do context[package][materialization]() -%}
    {{ return(load_result('main')) }}
{% endmacro %}

{% macro default__get_unit_test_sql(main_sql, expected_fixture_sql, expected_column_names) -%}
    {%- set columns = expected_column_names | join(', ') -%}
    with dbt_internal_unit_test_actual as (
        select {{ columns }}, {{ dbt.string_literal('actual') }} as actual_or_expected from ({{ main_sql }}) _dbt_internal_unit_test_actual
    ),
    dbt_internal_unit_test_expected as (
        select {{ columns }}, {{ dbt.string_literal('expected') }} as actual_or_expected from ({{ expected_fixture_sql }}) _dbt_internal_unit_test_expected
    )
    select * from dbt_internal_unit_test_actual
    union all
    select * from dbt_internal_unit_test_expected
{%- endmacro %}

{% macro default__create_csv_table(model, agate_table) %}
    {%- set types = model['config'].get('column_types', {}) -%}
    {%- set quoting = model['config'].get('quote_columns', none) -%}
    {%- set sql -%}
        create table {{ this }} (
            {%- for name in agate_table.column_names -%}
                {{ adapter.quote_seed_column(name, quoting) }} {{ types.get(name, adapter.convert_type(agate_table, loop.index0)) }}{{ ', ' if not loop.last }}
            {%- endfor -%}
        )
    {%- endset -%}
    {%- call statement('_') -%}{{ sql }}{%- endcall -%}
    {%- do return(sql) -%}
{% endmacro %}
{% macro default__get_binding_char() %}{{ return('%s') }}{% endmacro %}
{% macro default__get_batch_size() %}{{ return(10000) }}{% endmacro %}
{% macro default__reset_csv_table(model, full_refresh, old_relation, agate_table) %}
    {%- if full_refresh -%}
        {%- do adapter.drop_relation(old_relation) -%}
        {%- do return(create_csv_table(model, agate_table)) -%}
    {%- endif -%}
    {%- do adapter.truncate_relation(old_relation) -%}
    {%- do return('truncate table ' ~ old_relation) -%}
{% endmacro %}
{% macro get_seed_column_quoted_csv(model, column_names) %}
    {%- set names = [] -%}
    {%- for name in column_names -%}{%- do names.append(adapter.quote_seed_column(name, model['config'].get('quote_columns', none))) -%}{%- endfor -%}
    {%- do return(names | join(', ')) -%}
{% endmacro %}
{% macro default__load_csv_rows(model, agate_table) %}
    {%- set columns = get_seed_column_quoted_csv(model, agate_table.column_names) -%}
    {%- set values = '(' ~ ([get_binding_char() | string] * (agate_table.column_names | length)) | join(', ') ~ ')' -%}
    {%- set sent = [] -%}
    {%- for rows in agate_table.rows | batch(get_batch_size() | int) -%}
        {%- set bindings = [] -%}
        {%- for row in rows -%}{%- do bindings.extend(row) -%}{%- endfor -%}
        {%- do sent.append('insert into ' ~ this ~ ' (' ~ columns ~ ') values ' ~ ([values] * (rows | length)) | join(', ')) -%}
        {%- do adapter.add_query(sent[-1], bindings=bindings, abridge_sql_log=true) -%}
    {%- endfor -%}
    {%- do return(sent[0]) -%}
{% endmacro %}
{% macro default__get_csv_sql(create_or_truncate_sql, insert_sql) %}{{ create_or_truncate_sql }};
{{ insert_sql }}{% endmacro %}
