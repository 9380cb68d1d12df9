"""How much of an object is held, looked at or kept, whatever a stranger put into it."""

RECORD_BYTES = 64 << 20  # a longer record is not read
RECORD_LINES = 1_000  # a CSV record that spans more is an unclosed quote
TEXT_BYTES = 1 << 20  # of a record that cannot be read, this much is kept
HEADER_NAMES = 10_000
HEAD_BYTES = 64 << 10  # what an object is, is told from its beginning
PART_LINES = 500_000  # lines of a few bytes weigh much more as rows than as text
WORKBOOK_BYTES = 256 << 20  # a workbook is held whole
UNZIPPED_BYTES = 512 << 20  # of its parts: read, they were seen to take 5 times that, 17 times as failed formulas
SHEET_CELLS = 32 << 20  # from the first to the last, each of some 24 bytes: as many rows as there can be, of 26 columns
STEP_BYTES = 1 << 20  # text is unzipped, and skipped, in such steps
