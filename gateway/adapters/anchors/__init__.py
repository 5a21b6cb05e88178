"""Where heads of the trail are anchored (锚定): outside of what whoever rewrites the trail can reach."""
