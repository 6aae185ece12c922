"""The report on executed plans as one self-contained HTML page."""

from rebalance_cli.report.page import write_page

__all__ = ["write_page"]
