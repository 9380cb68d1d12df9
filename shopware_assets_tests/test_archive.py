"""Archiving: what is said of objects that cannot be moved. All the rest is tested in faults/test_archive.py."""

from shopware_assets.archive import NotMoved


def test_the_first_ten_are_named() -> None:
    stuck = {f"inventory/{number}": f"reason {number}" for number in range(1012)}
    named = [f"inventory/{number}: reason {number}" for number in range(10)]
    assert str(NotMoved(stuck)).splitlines() == [
        "1,012 objects cannot be moved to archive/:",
        *named,
        "and 1,002 more",
    ]
    (_, *lines) = str(NotMoved(dict([*stuck.items()][:10]))).splitlines()
    assert lines == named
