"""The data dictionary: that what is written is what the definitions say."""

from shopware_assets import dictionary
from shopware_assets.transforms import ANSWERS


def test_the_file_is_what_the_definitions_say() -> None:
    assert dictionary.PATH.read_text() == dictionary.markdown(), dictionary.__doc__


def test_every_table_and_column_is_in_it_in_a_row_of_its_own() -> None:
    head, *sections = dictionary.markdown().split("\n## ")
    assert head.startswith("# ")
    assert [section.splitlines()[0] for section in sections] == list(ANSWERS)
    for section, answer in zip(sections, ANSWERS.values(), strict=True):
        assert answer.grain in section and answer.description in section
        rows = [line for line in section.splitlines() if line.startswith("| `")]
        assert [row.split("`")[1] for row in rows] == list(answer.table.columns)
        assert {row.count(" | ") for row in rows} == {3}, "no definition breaks its row"
