"""`python -m pytest_veeqo_alloc` is `veeqo-alloc`."""

from pytest_veeqo_alloc.cli.main import entry

if __name__ == "__main__":
    entry()
