"""SafeBorders Federated: private analytics over trafficking case data that never leaves its state."""

__version__ = "0.1.0"
