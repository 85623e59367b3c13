"""Complete orders, built from a few facts (a story)."""
