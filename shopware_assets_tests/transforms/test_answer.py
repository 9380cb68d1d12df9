"""What a gold table is said to be, and when that counts as changed."""

import dataclasses

import pytest

from shopware_assets.transforms import ANSWERS, order_kpis, product_performance

ANSWER = ANSWERS["product_performance_daily"]


def test_it_changes_with_a_function_that_is_taken_from_another_transform(monkeypatch: pytest.MonkeyPatch) -> None:
    assert dataclasses.replace(ANSWER).fingerprint == ANSWER.fingerprint, "the control"
    monkeypatch.setattr(product_performance, "rate", order_kpis.flag)
    assert dataclasses.replace(ANSWER).fingerprint != ANSWER.fingerprint


def test_it_changes_with_what_is_said() -> None:
    said = dataclasses.replace(ANSWER.measures[0], definition="Another one.")
    assert dataclasses.replace(ANSWER, measures=(said, *ANSWER.measures[1:])).fingerprint != ANSWER.fingerprint
