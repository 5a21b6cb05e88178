"""Connectors (连接器): one folder per platform, and the kit they share."""
