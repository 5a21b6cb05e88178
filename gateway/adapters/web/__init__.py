"""HTTP in: the admin port."""
