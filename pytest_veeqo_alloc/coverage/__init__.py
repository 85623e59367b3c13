"""Coverage: counts of the documented fields that were seen, and of the rules that were evaluated."""
