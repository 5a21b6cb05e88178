"""Crashes at every write point: a process is killed, or its disk fails, at the N-th write of a fixed story."""
