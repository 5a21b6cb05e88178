"""The rules of the gateway: pure functions over values, without I/O, clock or log."""
