"""Tests of bronze."""
