"""Complete orders, built from a story of a few facts."""
