"""`shopware` as a test runs it: in this process, on a home of its own.

Here: running commands, dropping files, reading tables back without a line of the product. Not here: what should be
read.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
from click.testing import Result
from typer.testing import CliRunner

from shopware_assets.cli import app


@dataclass(frozen=True)
class Shopware:
    """The command line on `home`; `settings` are further environment variables, None takes one away."""

    home: Path
    settings: Mapping[str, str | None] = field(default_factory=dict)

    def __call__(self, *arguments: object, code: int = 0) -> Result:
        """Runs a command and insists on its exit code."""
        env = {"SHOPWARE_HOME": str(self.home), **self.settings}
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], env=env)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, f"exit code {result.exit_code}: {result.output}"
        return result

    def json(self, *arguments: object, code: int = 0) -> Any:
        return json.loads(self(*arguments, "--format", "json", code=code).stdout)

    def drop(self, key: str, body: bytes, landed_at: datetime | None = None) -> None:
        """Lands an object as a source would, without the product's help."""
        path = self.home / "landing" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        if landed_at:
            os.utime(path, (landed_at.timestamp(), landed_at.timestamp()))

    def copied(self, home: Path) -> "Shopware":
        """The same landing and lake in another home, where no run was ever made."""
        for folder in ("landing", "lake"):
            shutil.copytree(self.home / folder, home / folder)
        return replace(self, home=home)

    def table(self, name: str) -> pl.DataFrame:
        """A table of the lake, `layer/table`, as it is stored."""
        return pl.read_delta(str(self.home / "lake" / name))

    def exists(self, name: str) -> bool:
        return (self.home / "lake" / name / "_delta_log").is_dir()
