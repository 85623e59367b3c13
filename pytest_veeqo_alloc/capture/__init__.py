"""Capture: what was seen, from whatever holds it, as an `Interaction`. Decides nothing about the contract."""
