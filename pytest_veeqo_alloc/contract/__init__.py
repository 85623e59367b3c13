"""The rules, and the checker that turns interactions into findings.

Nothing here reads a file, a clock or an environment, and nothing outside decides what is right.
"""
