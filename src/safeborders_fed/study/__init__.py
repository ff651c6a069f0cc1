"""What both sides agree on: manifests and messages."""
