"""Commented examples and mappings. Installed as the package safeborders_fed.configs; never holds secrets."""
