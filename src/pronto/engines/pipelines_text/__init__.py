"""Text models of transformers that do not stream: each kind of head is a file. Knows no wire format."""
