"""The record of who did what, at a node and at the coordinator, that nobody can change unseen."""
