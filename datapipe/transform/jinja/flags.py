"""``flags``: how a run was started, in the words of dbt's command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from datapipe.transform.options import Options

_OFF = (
    *("CACHE_SELECTED_ONLY", "DEBUG", "DEFER", "EMPTY", "EXPORT_SAVED_QUERIES", "FAIL_FAST"),
    *("FAVOR_STATE", "FULL_REFRESH", "INCLUDE_SAVED_QUERY", "LOG_CACHE_EVENTS", "MACRO_DEBUGGING"),
    *("QUIET", "SHOW", "SHOW_ALL_DEPRECATIONS", "SHOW_RESOURCE_REPORT", "SINGLE_THREADED"),
    *("STORE_FAILURES", "STRICT_MODE", "UPLOAD_TO_ARTIFACTS_INGEST_API", "USE_COLORS"),
    *("USE_COLORS_FILE", "USE_EXPERIMENTAL_PARSER", "USE_FAST_TEST_EDGES", "VALIDATE_MACRO_ARGS"),
    "REQUIRE_ALL_WARNINGS_HANDLED_BY_WARN_ERROR",
    "REQUIRE_BATCHED_EXECUTION_FOR_CUSTOM_MICROBATCH_STRATEGY",
    "REQUIRE_NESTED_CUMULATIVE_TYPE_PARAMS",
    "REQUIRE_REF_SEARCHES_NODE_PACKAGE_BEFORE_ROOT",
    "REQUIRE_UNIQUE_PROJECT_RESOURCE_NAMES",
    "REQUIRE_YAML_CONFIGURATION_FOR_MF_TIME_SPINES",
    "SKIP_NODES_IF_ON_RUN_START_FAILS",
    "STATE_MODIFIED_COMPARE_MORE_UNRENDERED_VALUES",
    "STATE_MODIFIED_COMPARE_VARS",
)
_ON = (
    *("INTROSPECT", "PARTIAL_PARSE", "PARTIAL_PARSE_FILE_DIFF", "POPULATE_CACHE", "PRINT"),
    *("SEND_ANONYMOUS_USAGE_STATS", "SOURCE_FRESHNESS_RUN_PROJECT_HOOKS", "STATIC_PARSER"),
    *("VERSION_CHECK", "WRITE_JSON", "REQUIRE_GENERIC_TEST_ARGUMENTS_PROPERTY"),
    *("REQUIRE_EXPLICIT_PACKAGE_OVERRIDES_FOR_BUILTIN_MATERIALIZATIONS",),
    "REQUIRE_RESOURCE_NAMES_WITHOUT_SPACES",
)
_WORDS: Mapping[str, Any] = {
    "LOG_FORMAT": "default",
    "LOG_FORMAT_FILE": "debug",
    "LOG_LEVEL": "info",
    "LOG_LEVEL_FILE": "debug",
    "PRINTER_WIDTH": 80,
    "WARN_ERROR": None,
    "WHICH": "build",
}
# Those that dbt leaves out of invocation_args_dict where they are not set.
_NOT_TOLD = (
    *("DEBUG", "FAIL_FAST", "FULL_REFRESH", "LOG_CACHE_EVENTS", "SINGLE_THREADED"),
    *("STORE_FAILURES", "USE_EXPERIMENTAL_PARSER", "WARN_ERROR"),
)


class Flags(Mapping[str, Any]):
    """dbt's flags, as the project sets them and the run was asked for; any other is None.

    A flag can be asked for in capitals or small letters, as with dbt.
    """

    def __init__(self, options: Options, of_project: Mapping[str, Any]) -> None:
        self._flags: dict[str, Any] = {
            **dict.fromkeys(_OFF, False),
            **dict.fromkeys(_ON, True),
            **_WORDS,
            **{str(name).upper(): value for name, value in of_project.items()},
        }
        if options.fail_fast:
            self._flags["FAIL_FAST"] = True
        if options.store_failures:
            self._flags["STORE_FAILURES"] = True
        self._flags |= {
            "EXCLUDE": tuple(options.exclude),
            "FULL_REFRESH": options.full_refresh,
            "INDIRECT_SELECTION": options.indirect
            or self._flags.get("INDIRECT_SELECTION")
            or "eager",
            "SELECT": tuple(options.select),
            "VARS": dict(options.variables),
        }

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._flags.get(name.upper())

    def __getitem__(self, name: str) -> Any:
        return self._flags[name.upper()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._flags)

    def __len__(self) -> int:
        return len(self._flags)

    def as_dict(self) -> dict[str, Any]:
        """What ``invocation_args_dict`` holds: the flags in small letters, but unset ones."""
        return {
            name.lower(): value
            for name, value in self._flags.items()
            if value is not None and (value or name not in _NOT_TOLD)
        }
