"""datapipe init"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from datapipe.cli import console
from datapipe.errors import UsageError
from datapipe.paths import shipped


def init(
    directory: Annotated[Path, typer.Argument(help="The folder to write to.")] = Path(),
) -> None:
    """Write the SQL project and a .env, to make your own.

    Nothing that exists is overwritten.
    """
    written, kept = [], []
    source = shipped("sql_models")
    targets = {
        path: directory / "sql_models" / path.relative_to(source)
        for path in sorted(source.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    targets[shipped(".env.example")] = directory / ".env"
    for path, target in targets.items():
        if target.exists():
            kept.append(target)
            continue
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        except OSError as error:
            raise UsageError(f"{target} cannot be written: {error.strerror}.") from None
        if target.name == ".env":
            target.chmod(0o600)  # it will hold a key
        written.append(target)
    console.say(f"Wrote {len(written)} files to {directory.absolute()}.")
    for target in kept:
        console.tell(f"{target} was there and is as it was.")
