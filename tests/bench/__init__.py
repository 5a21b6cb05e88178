"""Ratios against naive peers, side by side in one run: `make bench`."""
