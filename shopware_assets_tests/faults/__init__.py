"""Faults: kills, lost replies, two at once, full disks, odd clocks and odder objects. What must hold is always the same."""
