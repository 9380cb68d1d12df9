"""Serving: what is handed over. One asset a table."""
