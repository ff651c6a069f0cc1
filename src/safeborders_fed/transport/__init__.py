"""Flower: the only package that imports flwr."""
