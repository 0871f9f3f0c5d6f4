"""The family of errors, by what the caller can do about them.

    DatapipeError
    ├── UsageError              ask differently
    │   └── SettingsError       mend a setting; the variable is named
    ├── WarehouseError          mend PostgreSQL, then run again
    │   └── LockedError         wait for the other run
    ├── SourceError             mend the source of the data, then run again
    │   └── Refusal             the API said no (``datapipe.extract.refusals`` has its kinds)
    ├── LoadError               mend the file or report the answer that could not be read
    ├── ProjectError            mend the SQL project; the file and the line are named
    │   ├── PublishError        a user's own view stands in the way; it is named
    │   └── RunFailedError      models failed, each is named; nothing was published
    ├── TestsFailedError        mend the data or the test; nothing was published
    │   └── VerifyFailedError   mend the incremental model; the key and the columns are named
    └── PartlyDoneError         nothing to mend now: the next run goes on

A message is a sentence that names the thing, then the cure. The facts are attributes as well.
Only ``datapipe.cli.main`` turns a class into an exit status.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


class DatapipeError(Exception):
    """Anything that datapipe expects may go wrong."""


class UsageError(DatapipeError):
    """What was asked for cannot be done as asked."""


class SettingsError(UsageError):
    """A setting is missing, unknown or malformed."""

    def __init__(self, message: str, *, variable: str) -> None:
        super().__init__(message)
        self.variable = variable


class WarehouseError(DatapipeError):
    """PostgreSQL could not be reached or would not do what was asked."""

    def __init__(self, message: str, *, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class LockedError(WarehouseError):
    """Another run holds the lock."""


class SourceError(DatapipeError):
    """The source of the data could not be read."""


class Refusal(SourceError):
    """The API answered, and the answer is not data.

    ``kind`` is the finer class, such as ``rate_limit.burst``; ``wait_seconds`` is how long to wait
    before the same request may succeed, where waiting helps at all.
    """

    def __init__(self, message: str, *, kind: str, wait_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.kind = kind
        self.wait_seconds = wait_seconds


class LoadError(DatapipeError):
    """A file or a stored answer could not be read as what it claims to be."""


class ProjectError(DatapipeError):
    """The SQL project has a mistake, at ``path`` and ``line`` where they are known.

    ``about`` is what is wrong there, as it is written.
    """

    def __init__(
        self,
        message: str,
        *,
        path: Path | None = None,
        line: int | None = None,
        model: str = "",
        about: str = "",
    ) -> None:
        where = "" if path is None else f"{path}: " if line is None else f"{path}:{line}: "
        super().__init__(where + message)
        self.path = path
        self.line = line
        self.model = model
        self.about = about


class PublishError(ProjectError):
    """Publishing would break something that datapipe did not create."""


class RunFailedError(ProjectError):
    """Models could not be built; all that did not depend on them was still tried.

    ``results`` tell how every node of the run ended, ``failed`` names those that failed of
    themselves. ``path``, ``line`` and ``model`` are of the first of them.
    """

    def __init__(
        self,
        message: str,
        *,
        failed: Sequence[str],
        results: Sequence[Any] = (),
        path: Path | None = None,
        line: int | None = None,
    ) -> None:
        super().__init__(message)
        self.failed = tuple(failed)
        self.results = tuple(results)
        self.path = path
        self.line = line
        self.model = self.failed[0] if self.failed else ""


class TestsFailedError(DatapipeError):
    """Data tests failed; what was published before stays as it was."""

    __test__ = False  # the name begins like a test class

    def __init__(self, message: str, *, failed: Sequence[str], results: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.failed = tuple(failed)
        self.results = tuple(results)


class VerifyFailedError(TestsFailedError):
    """An incremental model is not what a full build gives; ``failed`` names those that are not."""


class PartlyDoneError(DatapipeError):
    """Some of the work is done and safe; the rest waits for the next run."""
