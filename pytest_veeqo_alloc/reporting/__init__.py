"""Output: terminal, JSON, GitHub annotations and the HTML report."""
