"""Decision tables (决策表): read, checked, and run."""
