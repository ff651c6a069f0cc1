"""Mappings of the synthetic national files and of public data sets."""
