"""gRPC in: bytes to queries, views to bytes, errors to statuses."""
