"""Use cases: the stories of the gateway, one file each."""
