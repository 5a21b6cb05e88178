"""What two or more connectors share."""
