"""``exceptions``: how a template says that something is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from datapipe.errors import ProjectError


class Exceptions:
    """What templates raise; the error gets the line of whoever raised it."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn

    def warn(self, msg: Any, node: Any = None) -> str:
        del node
        self._warn(str(msg))
        return ""

    def raise_compiler_error(self, msg: Any, node: Any = None) -> NoReturn:
        del node
        raise ProjectError(str(msg))

    def raise_database_error(self, msg: Any, node: Any = None) -> NoReturn:
        self.raise_compiler_error(msg, node)

    def raise_dependency_error(self, msg: Any, node: Any = None) -> NoReturn:
        self.raise_compiler_error(msg, node)

    def raise_fail_fast_error(self, msg: Any, node: Any = None) -> NoReturn:
        self.raise_compiler_error(msg, node)

    def raise_not_implemented(self, msg: Any) -> NoReturn:
        raise ProjectError(str(msg))

    def raise_cache_inconsistent(self, message: Any) -> NoReturn:
        raise ProjectError(str(message))

    def raise_dataclass_not_dict(self, obj: Any) -> NoReturn:
        raise ProjectError(f"This must be a mapping: {obj}.")

    def raise_dep_not_found(self, node: Any, node_description: Any, required_pkg: Any) -> NoReturn:
        del node
        raise ProjectError(
            f"{node_description} needs the package {required_pkg}, which is missing."
        )

    def raise_duplicate_patch_name(self, patch_1: Any, existing_patch_path: Any) -> NoReturn:
        raise ProjectError(f"{patch_1} is described twice: also in {existing_patch_path}.")

    def raise_duplicate_resource_name(self, node_1: Any, node_2: Any) -> NoReturn:
        raise ProjectError(f"{node_1} and {node_2} have one name. Rename one of them.")

    def raise_invalid_property_yml_version(self, path: Any, issue: Any) -> NoReturn:
        raise ProjectError(f"{path} cannot be read: {issue}.")

    def raise_ambiguous_alias(self, node_1: Any, node_2: Any, duped_name: Any = None) -> NoReturn:
        raise ProjectError(f"{node_1} and {node_2} would both be {duped_name}. Rename one of them.")

    def raise_ambiguous_catalog_match(self, unique_id: Any, match_1: Any, match_2: Any) -> NoReturn:
        raise ProjectError(f"{unique_id} may be {match_1} or {match_2}.")

    def raise_contract_error(self, yaml_columns: Any, sql_columns: Any) -> NoReturn:
        raise ProjectError(
            "The columns of the model are not those of its contract: "
            f"{_columns(sql_columns)} instead of {_columns(yaml_columns)}."
        )

    def column_type_missing(self, column_names: Any) -> NoReturn:
        raise ProjectError(f"A contract needs the data_type of every column: {column_names}.")

    def missing_config(self, model: Any, name: Any) -> NoReturn:
        raise ProjectError(f"{_name(model)} needs the setting {name}. Give it in config().")

    def missing_materialization(self, model: Any, adapter_type: Any) -> NoReturn:
        del adapter_type
        raise ProjectError(f"{_name(model)} has a materialization that does not exist.")

    def missing_relation(self, relation: Any, model: Any = None) -> NoReturn:
        del model
        raise ProjectError(f"There is no relation {relation}.")

    def relation_wrong_type(self, relation: Any, expected_type: Any, model: Any = None) -> NoReturn:
        del model
        is_ = getattr(relation, "type", "something else")
        raise ProjectError(f"{relation} must be a {expected_type}, but it is a {is_}.")

    def warn_snapshot_timestamp_data_types(
        self, snapshot_time_data_type: Any, updated_at_data_type: Any
    ) -> str:
        return self.warn(
            f"The times of this snapshot are {snapshot_time_data_type}, and updated_at is "
            f"{updated_at_data_type}: comparing them may shift by the time zone."
        )


def _name(model: Any) -> str:
    return str(model.get("name", model) if isinstance(model, Mapping) else model)


def _columns(columns: Any) -> str:
    return ", ".join(
        f"{column.get('name')} {column.get('data_type')}"
        for column in columns
        if isinstance(column, Mapping)
    )
