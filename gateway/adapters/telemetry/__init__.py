"""Logs, metrics, traces and platform health: how the gateway is seen from outside."""
