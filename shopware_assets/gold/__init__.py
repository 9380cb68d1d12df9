"""Gold: the answers. One asset a table."""
