"""Case data at one node: contract, mapping, intake, encrypted store, encoding, synthetic files."""
