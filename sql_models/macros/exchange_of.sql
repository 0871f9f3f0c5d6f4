{# The exchange whose sessions a symbol has, by its suffix as Alpha Vantage writes it. #}
{% macro exchange_of(symbol) -%}
    {%- set exchanges = {
        'LON': 'XLON', 'TRT': 'XTSE', 'TRV': 'XTSX', 'DEX': 'XETR', 'FRK': 'XFRA', 'PAR': 'XPAR',
        'AMS': 'XAMS', 'BSE': 'XBOM', 'SHH': 'XSHG', 'SHZ': 'XSHG', 'SAO': 'BVMF'
    } -%}
    case substring({{ symbol }} from '[.]([^.]*)$')
        {%- for suffix, exchange in exchanges.items() %}
        when '{{ suffix }}' then '{{ exchange }}'
        {%- endfor %}
        else 'XNYS'
    end
{%- endmacro %}
