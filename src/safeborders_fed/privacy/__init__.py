"""Mathematics of differential privacy: noise, accounting, bounded sums. No files, no network, no torch."""
