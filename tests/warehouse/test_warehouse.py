from collections.abc import Callable
from urllib.parse import urlsplit

import psycopg
import pytest

from datapipe.errors import SettingsError, WarehouseError
from datapipe.settings import Settings
from datapipe.warehouse import Warehouse, migrate


def test_the_head_read_from_file_names_is_alembics() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    from datapipe.paths import shipped

    config = Config()
    config.set_main_option("script_location", str(shipped("migrations")))
    assert migrate.head() == ScriptDirectory.from_config(config).get_current_head()


def test_upgrading_twice_changes_nothing(warehouse: Warehouse) -> None:
    assert warehouse.upgrade() == migrate.head()


def test_a_warehouse_that_is_newer_than_this_datapipe_is_left_alone(
    warehouse: Warehouse, connection: psycopg.Connection
) -> None:
    connection.execute("UPDATE meta.alembic_version SET version_num = '9999'")
    with pytest.raises(WarehouseError, match="Upgrade datapipe"):
        warehouse.upgrade()


def test_an_empty_database_has_no_revision_and_gets_one(
    database_url: str, server_url: Callable[[str], str]
) -> None:
    fresh = Warehouse(database_url + "_sample", created_from=server_url("postgres"))
    with fresh.connect_if_there() as connection:
        assert connection is None
    assert fresh.upgrade() is None
    with fresh.connect_if_there() as connection:
        assert connection is not None
    assert fresh.upgrade() == migrate.head()


def test_five_first_upgrades_at_once_all_succeed(
    database_url: str, server_url: Callable[[str], str]
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    url = database_url + "_sample"
    warehouses = [Warehouse(url, created_from=server_url("postgres")) for _ in range(5)]
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(Warehouse.upgrade, warehouses))
    with warehouses[0].connect() as connection:
        assert migrate.current(connection) == migrate.head()


def test_sample_prices_have_a_database_of_their_own(settings: Settings) -> None:
    real, sample = Warehouse.of(settings), Warehouse.of(settings, sample=True)
    assert sample.synthetic
    assert not real.synthetic
    assert urlsplit(sample.url).path == urlsplit(real.url).path + "_sample"


def test_a_connection_is_in_utc_and_ends_when_its_client_does(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        for setting, value in {"timezone": "UTC", "client_connection_check_interval": "1s"}.items():
            row = connection.execute(f"SHOW {setting}").fetchone()  # type: ignore[call-overload]
            assert row == (value,)


def test_what_was_begun_is_rolled_back_when_an_error_comes(
    warehouse: Warehouse, connection: psycopg.Connection
) -> None:
    with pytest.raises(WarehouseError, match="division by zero"), warehouse.connect() as working:
        working.execute("CREATE TABLE public.half_done ()")
        working.execute("SELECT 1/0")
    row = connection.execute("SELECT to_regclass('public.half_done')").fetchone()
    assert row == (None,)


def test_a_server_that_is_away_is_named_without_the_password() -> None:
    away = Warehouse("postgresql://ann:hunter2@127.0.0.1:9/market")
    with pytest.raises(WarehouseError, match="DATAPIPE_DATABASE_URL") as caught:
        away.new_connection()
    assert "market on 127.0.0.1:9" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "ann" not in away.name


def test_a_database_that_is_not_there_is_not_created_behind_the_users_back(
    server_url: Callable[[str], str],
) -> None:
    missing = Warehouse(server_url("no_such_database"))
    with pytest.raises(WarehouseError, match="createdb") as caught:
        missing.new_connection()
    assert caught.value.sqlstate == "3D000"


def test_a_parameter_that_libpq_does_not_know_is_a_wrong_setting() -> None:
    with pytest.raises(SettingsError, match="DATAPIPE_DATABASE_URL is malformed"):
        Warehouse("postgresql://h/d?nosuch=1").new_connection()


def test_a_connection_that_the_server_ended_is_told_as_a_sentence(
    warehouse: Warehouse, connection: psycopg.Connection
) -> None:
    with (
        pytest.raises(WarehouseError, match="run the command again"),
        warehouse.connect(autocommit=True) as victim,
    ):
        connection.execute("SELECT pg_terminate_backend(%s)", [victim.info.backend_pid])
        victim.execute("SELECT 1")


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_text_is_the_same_in_a_database_of_another_encoding(
    make_database: Callable[[str], Warehouse], encoding: str
) -> None:
    made = make_database(f"TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'")
    with made.connect() as connection:
        row = connection.execute("SELECT %s, json_build_object('k', 'Größe')", ["Größe"]).fetchone()
    assert row == ("Größe", {"k": "Größe"})


def test_a_database_that_may_only_be_read_is_told_as_a_sentence(
    make_database: Callable[[str], Warehouse],
) -> None:
    made = make_database("")
    with made.connect(autocommit=True) as connection:
        connection.execute(
            f"ALTER DATABASE {connection.info.dbname} SET default_transaction_read_only = on"
        )
    with pytest.raises(WarehouseError, match="set default_transaction_read_only to off") as caught:
        made.upgrade()
    assert caught.value.sqlstate == "25006"


def test_too_few_locks_are_told_with_the_way_round_them(warehouse: Warehouse) -> None:
    with (
        pytest.raises(WarehouseError, match="--publish per-model"),
        warehouse.connect(autocommit=True) as working,
    ):
        working.execute(
            "DO $$ BEGIN RAISE 'out of shared memory' USING errcode = '53200', "
            "hint = 'You might need to increase \"max_locks_per_transaction\".'; END $$"
        )
