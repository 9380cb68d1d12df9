"""Tests of silver."""
