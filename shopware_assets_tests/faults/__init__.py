"""Faults: kills, lost replies, two at once, full disks, odd clocks, odder objects. What must hold is ever the same."""
