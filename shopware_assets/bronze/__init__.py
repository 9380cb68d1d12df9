"""Bronze: what landed, verbatim. One asset a table."""
