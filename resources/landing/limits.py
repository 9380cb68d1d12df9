"""How much of landing is held at once."""

PAGE = 1000
"""Objects of a page of a listing."""

CHUNK = 1 << 20
"""Bytes of an object."""
