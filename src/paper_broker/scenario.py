"""Scenarios: the JSON that describes an account and its market, and the default scenario.

All keys are optional: ``seed``, ``account``, ``clock``, ``assets``, ``quotes``, ``positions``, ``default_fill``,
``fills``, ``auctions``, ``faults``, ``blackout_windows``, ``halted``, ``lists``, ``corporate_actions``, ``rate_limit``
(requests per minute for ``trading`` and ``data``) and ``drift``. Dollars and shares are decimal strings, times are
RFC 3339, durations are seconds.
``docs/paper-broker-reference.md`` describes every key.
"""

from collections.abc import Mapping
from typing import Any

KEYS = frozenset({
    "seed", "account", "clock", "assets", "quotes", "positions", "default_fill", "fills", "faults", "rate_limit",
    "drift", "blackout_windows", "halted", "lists", "auctions",
    "corporate_actions",
})  # fmt: skip
CLOCK_KEYS = frozenset({"mode", "now", "advance_seconds", "sessions", "holidays", "half_days"})

# Symbol, price in cents, flags: Q Nasdaq, N NYSE, P NYSE Arca, F fund, W whole shares only, H hard to borrow.
_STOCKS = """
AAPL 25540 Q  MSFT 46595 Q  NVDA 18670 Q  AMZN 23916 Q  GOOGL 32800 Q  META 65876 Q  TSLA 44906 Q  AVGO 32005 Q
COST 98312 Q  NFLX 8612 Q   AMD 25968 Q   ADBE 29668 Q  CSCO 7472 Q    INTC 4507 Q   QCOM 15583 Q  PEP 14621 Q
AMGN 34355 Q  SBUX 9736 Q   MU 39965 Q    PYPL 5665 Q   BRK.B 47909 N  JPM 29772 N   V 32613 N     MA 52445 N
JNJ 22018 N   WMT 11799 N   PG 15000 N    XOM 13490 N   CVX 16674 N    KO 7273 N     DIS 11125 N   HD 38250 N
MCD 30790 N   NKE 6542 N    BAC 5172 N    WFC 8742 N    GS 91883 N     CAT 62628 N   BA 25251 N    GE 29390 N
IBM 29246 N   ORCL 17720 N  CRM 22808 N   PFE 2569 N    MRK 10807 N    LLY 106380 N  UNH 35626 N   T 2366 N
SPY 68923 PF  QQQ 62272 QF  IWM 26477 PF  DIA 49091 PF  VTI 33965 PF   VOO 63368 PF  TQQQ 5378 QF  SQQQ 6690 QF
UPRO 11806 PF UVXY 3560 PFWH TLT 8778 QF  BIL 9158 PF   SHY 8290 QF    GLD 45810 PF  SLV 9304 PF   XLF 5310 PF
XLK 14614 PF  XLE 4888 PF   SOXL 6120 PF  TECL 11620 PF BND 7418 QF    AGG 10012 PF  FAS 17250 PFW DRN 961 PFWH
"""
_EXCHANGES = {"Q": "NASDAQ", "N": "NYSE", "P": "ARCA"}


def check_keys(world: Mapping[str, Any]) -> None:
    """Check that a scenario and its clock have only known keys.

    Raises:
        ValueError: lists the unknown keys.
    """
    for given, known, name in ((world, KEYS, "scenario"), (world.get("clock", {}), CLOCK_KEYS, "clock")):
        if unknown := given.keys() - known:
            raise ValueError(f"Unknown {name} keys: {sorted(unknown)}. Choose from {sorted(known)}.")


def default_world() -> dict[str, Any]:
    """Return the default scenario: 100,000 dollars, New York hours, about sixty well-known stocks and funds."""
    columns = _STOCKS.split()
    rows = list(zip(columns[::3], map(int, columns[1::3]), columns[2::3], strict=True))
    return {
        "account": {"cash": "100000"},
        "assets": [_asset(symbol, flags) for symbol, _, flags in rows],
        "quotes": {symbol: _quote(cents) for symbol, cents, _ in rows},
    }


def _asset(symbol: str, flags: str) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "name": f"{symbol} {'Exchange Traded Fund' if 'F' in flags else 'Common Stock'}",
        "exchange": _EXCHANGES[flags[0]],
        "fractionable": "W" not in flags,
        "shortable": "H" not in flags,
    }


def _quote(cents: int) -> dict[str, Any]:
    spread = max(1, cents // 10_000)
    prev_close = cents - cents // 250
    prices = {"bid": cents, "ask": cents + spread, "last": cents, "prev_close": prev_close}
    return {name: f"{value // 100}.{value % 100:02d}" for name, value in prices.items()} | {
        "bid_size": 500,
        "ask_size": 500,
        "volume": 2_000_000,
    }
