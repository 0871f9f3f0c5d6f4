"""Compiled templates, kept from run to run as Python keeps its compiled modules."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from jinja2.bccache import Bucket, FileSystemBytecodeCache

# Part of every key: raise it when ``templates`` compiles the same text to something else.
FORMAT = 1


class CompiledTemplates(FileSystemBytecodeCache):
    """A folder with a file for each template. Compiling is what a small run takes longest at.

    A file that cannot be read or written is as good as none.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder), "%s")
        with suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def load_bytecode(self, bucket: Bucket) -> None:
        try:
            super().load_bytecode(bucket)
        except Exception:  # whatever pickle and marshal make of a file that was cut short
            bucket.reset()

    def dump_bytecode(self, bucket: Bucket) -> None:
        with suppress(OSError):
            super().dump_bytecode(bucket)
