"""Worker processes and who may use them. Knows no HTTP, no accounts, no dialects."""
