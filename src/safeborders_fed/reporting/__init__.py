"""Reports for analysts."""
