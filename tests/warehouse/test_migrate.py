from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory
from datapipe.paths import shipped
from datapipe.warehouse import Warehouse, migrate


def test_the_head_read_from_file_names_is_alembics() -> None:
    config = Config()
    config.set_main_option("script_location", str(shipped("migrations")))
    assert migrate.head() == ScriptDirectory.from_config(config).get_current_head()


def test_upgrading_twice_changes_nothing(warehouse: Warehouse) -> None:
    assert warehouse.upgrade() == migrate.head()
