"""Keys, signatures and masks: cryptography over bytes and integers. No files, no network."""
