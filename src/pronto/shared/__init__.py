"""State that several gateways can share. Knows nothing of what the bytes mean."""
