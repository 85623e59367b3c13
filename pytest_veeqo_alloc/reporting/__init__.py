"""Output of findings and reports: terminal, JSON, GitHub annotations and HTML."""
