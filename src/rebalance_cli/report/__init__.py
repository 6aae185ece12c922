"""The execution report as one self-contained page."""

from rebalance_cli.report.page import write_page

__all__ = ["write_page"]
