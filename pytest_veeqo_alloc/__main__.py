"""The command `veeqo-alloc` as `python -m pytest_veeqo_alloc`."""

from pytest_veeqo_alloc.cli.main import entry

if __name__ == "__main__":
    entry()
