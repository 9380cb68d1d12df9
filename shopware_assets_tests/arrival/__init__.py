"""Arrival: whatever the order in which objects are ingested and whatever is killed, the final tables are the same.

`world` has the objects, `oracle` works out from them what the tables must be, `history` does things to a lake in any
order.
"""
