"""The data dictionary: what every gold table and column means, in Markdown, from where the UI has it too.

`python -m shopware_assets.dictionary` writes docs/metrics.md.
"""

from collections.abc import Iterator
from pathlib import Path

from shopware_assets.transforms import ANSWERS
from shopware_assets.transforms.answer import Answer

PATH = Path(__file__).parents[1] / "docs" / "metrics.md"

_HEAD = """# Gold: what every table and column means

Written by `python -m shopware_assets.dictionary` from `shopware_assets/transforms`. Days are UTC. Rates are NULL, never
0, where there is nothing to divide by. Money is exact: decimal(18,4).
"""


def markdown() -> str:
    return "\n".join([_HEAD, *(line for answer in ANSWERS.values() for line in _section(answer))])


def _section(answer: Answer) -> Iterator[str]:
    yield f"## {answer.name}\n"
    yield f"{answer.description} Grain: {answer.grain}. Key: {', '.join(answer.key)}. Owner: {answer.owner}.\n"
    yield "| column | type | unit | definition |"
    yield "| --- | --- | --- | --- |"
    for measure in answer.measures:
        yield f"| `{measure.name}` | {measure.type} | {measure.unit} | {measure.definition} |"
    yield ""


if __name__ == "__main__":
    PATH.write_text(markdown())
