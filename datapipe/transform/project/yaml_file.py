"""YAML that remembers its lines."""

from __future__ import annotations

import hashlib
import os
import pickle
from contextlib import suppress
from pathlib import Path

from datapipe.errors import ProjectError
from datapipe.transform.project.blocks import File

# Part of every key: raise it when the same text becomes something else.
_FORMAT = 1


def unreadable(path: Path, error: OSError | UnicodeDecodeError) -> ProjectError:
    """The error for a file that is not there or is not text, with the line up to which it is."""
    if isinstance(error, OSError):
        return ProjectError(f"The file cannot be read: {error.strerror}.", path=path)
    line = error.object.count(b"\n", 0, error.start) + 1
    return ProjectError(
        f"This is not UTF-8: the byte {error.object[error.start]:#04x} stands here. "
        "Save the file as UTF-8.",
        path=path,
        line=line,
    )


def read(path: Path, cache_dir: Path | None = None) -> File:
    """The mapping that the file at ``path`` holds; an empty one for an empty file.

    What was read once is kept in ``cache_dir``, where one is given: reading it from there takes a
    fifth, and a run that finds all there never imports a parser.
    """
    try:
        text = path.read_text(encoding="utf-8-sig").rstrip()  # as dbt: a last `|` loses its newline
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path, error) from None
    if cache_dir is None:
        return _parsed(text, path)
    kept = cache_dir / "yaml" / hashlib.sha256(os.fsencode(path.absolute())).hexdigest()
    stamp = hashlib.sha256(f"{_FORMAT} {text}".encode()).digest()
    file = _from_cache(kept, stamp)
    if file is None:
        file = _parsed(text, path)
        _into_cache(kept, stamp, file)
    return file


def _parsed(text: str, path: Path) -> File:
    from datapipe.transform.project import yaml_parser

    return yaml_parser.parse(text, path)


def _from_cache(kept: Path, stamp: bytes) -> File | None:
    """What was kept of a text with this ``stamp``; what cannot be read is as good as none."""
    try:
        content = kept.read_bytes()
        if not content.startswith(stamp):
            return None
        file = pickle.loads(content[len(stamp) :])  # noqa: S301 - only we write to the folder
    except Exception:  # whatever pickle makes of a file that was cut short
        return None
    return file if isinstance(file, File) else None


def _into_cache(kept: Path, stamp: bytes, file: File) -> None:
    with suppress(OSError):
        kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = kept.with_suffix(f".{os.getpid()}")  # two runs may write at once
        new.write_bytes(stamp + pickle.dumps(file))
        new.replace(kept)
