"""Models of scikit-learn over the rows of tables. Knows no wire format."""
