"""What joins the gateway to the world: gRPC, stores, telemetry, wrappers of connectors."""
