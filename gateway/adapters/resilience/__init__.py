"""Wrappers of a connector, each with the connector's own shape."""
