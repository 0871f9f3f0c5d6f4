"""Market data into PostgreSQL: extract, load, transform, test and report.

The Python API is ``Pipeline``:

    from datapipe import Ask, Options, Pipeline

    pipeline = Pipeline()
    pipeline.run_all(Ask(source="sample"))
    pipeline.transform(Options(select=["marts"], rebuild=True))
    print(pipeline.report().to_pandas())
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datapipe.errors import DatapipeError

if TYPE_CHECKING:
    from datapipe.asking import Ask
    from datapipe.pipeline import Pipeline
    from datapipe.settings import Settings
    from datapipe.transform import Options

__all__ = ["Ask", "DatapipeError", "Options", "Pipeline", "Settings"]


def __getattr__(name: str) -> Any:
    # Late, so that `datapipe --help` does not wait for what it does not use.
    if name in {"Ask", "Pipeline"}:
        from datapipe import pipeline

        return getattr(pipeline, name)
    if name == "Options":
        from datapipe.transform import Options

        return Options
    if name == "Settings":
        from datapipe.settings import Settings

        return Settings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
