"""The vocabulary of the house. Knows nothing of HTTP, JSON, engines or storage."""
