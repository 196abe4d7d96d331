"""The line that a request runs down. Knows no wire format and no HTTP."""
