from pathlib import Path

import pytest

from datapipe.errors import ProjectError
from datapipe.paths import shipped
from datapipe.report.template import find, render

MODELS = {"dim_company": '"marts"."dim_company"', "fact_daily_trading": '"marts"."facts"'}
MARKET = shipped("sql_models") / "reports" / "market.sql"


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        (
            "select 1\nfrom {{ ref('dim_compny') }}",
            r":2: No model dim_compny .* mean dim_company\?",
        ),
        ("select 1\nfrom {{ ref('orders') }}", r":2: No model orders .* datapipe transform"),
        ("select 1\n\nfrom {{ source('raw', 'x') }}", r":3: A report reads published models"),
        ("select 1,\n {{ nothing }}", r":2: 'nothing' is undefined"),
        ("select 1\n{% if %}", r":2: Expected an expression"),
        ("select {{ 1 / 0 }}", r":1: division by zero"),
        ("\nselect {{ var('days') }}", r":2: The var days is not set"),
    ],
)
def test_a_mistake_in_a_template_is_shown_at_its_line(tmp_path: Path, sql: str, says: str) -> None:
    path = tmp_path / "bad.sql"
    path.write_text(sql)
    with pytest.raises(ProjectError, match=rf"bad\.sql{says}"):
        render(path, MODELS, [])


def test_a_report_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.sql").write_bytes(b"select '\xff'")
    with pytest.raises(ProjectError, match=r"bad\.sql: The report cannot be read"):
        render(tmp_path / "bad.sql", MODELS, [])


def test_a_project_file_that_is_not_yaml_is_named(tmp_path: Path) -> None:
    (tmp_path / "dbt_project.yml").write_text("name: [")
    with pytest.raises(ProjectError, match=r"dbt_project\.yml: The project cannot be read"):
        find(tmp_path, "market")


def test_a_quote_in_a_symbol_stays_inside_its_literal() -> None:
    models = dict.fromkeys(("dim_company", "fact_market_metrics", "fact_daily_trading"), "x")
    rendered = render(MARKET, models, ["A'; DROP TABLE x; --", "B"])
    assert "'A''; DROP TABLE x; --', 'B'" in rendered.sql


def test_without_symbols_the_market_is_not_narrowed() -> None:
    models = dict.fromkeys(("dim_company", "fact_market_metrics", "fact_daily_trading"), "x")
    rendered = render(MARKET, models, [])
    assert rendered.takes_symbols
    assert "company.symbol in" not in rendered.sql
