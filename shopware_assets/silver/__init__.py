"""Silver: judged and typed rows, and beside them the rejected ones. One asset a table."""
