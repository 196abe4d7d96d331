"""Who may do what: tokens, plans. Knows no HTTP and no SQL."""
