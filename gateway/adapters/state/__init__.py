"""What replicas will share one day; in this process for now."""
