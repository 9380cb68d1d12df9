"""`.env.example` lists every setting, with what it means and its default."""

import os
import re
import subprocess
from pathlib import Path

from resources.settings import Settings

EXAMPLE = Path(__file__).parents[1] / ".env.example"


def listed() -> dict[str, tuple[str, str]]:
    """Setting -> the comment above it, on one line, and its value."""
    found, comment = {}, []
    for line in EXAMPLE.read_text().splitlines():
        if line.startswith("#"):
            comment.append(line.removeprefix("#").strip())
        else:
            if match := re.fullmatch(r"(SHOPWARE_\w+)=(.*)", line):
                found[match[1]] = (" ".join(comment), match[2])
            comment = []
    return found


def test_every_setting_is_listed_with_its_description() -> None:
    described = {f"SHOPWARE_{name.upper()}": field.description for name, field in Settings.model_fields.items()}
    assert {name: comment for name, (comment, _) in listed().items()} == described


def test_the_values_are_the_defaults() -> None:
    """As a shell reads them."""
    command = ["sh", "-c", f"set -a; . {EXAMPLE}; env"]
    lines = subprocess.run(command, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True).stdout
    values = dict(line.split("=", 1) for line in lines.splitlines() if line.startswith("SHOPWARE_"))
    read = Settings(**{name.removeprefix("SHOPWARE_").lower(): value for name, value in values.items()})
    assert read == Settings()
