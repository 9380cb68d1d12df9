"""Tests of gold."""
