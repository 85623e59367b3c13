"""The contract: what is right, and what a finding says. Pure, data in and data out.

Nothing here reads a file, a clock or an environment, and nothing outside decides what is right.
"""
