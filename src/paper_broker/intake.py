"""The creation of orders: IDs, submission times, and the behaviour of each order."""

from decimal import Decimal

from paper_broker.admission import Ticket, sale_qty
from paper_broker.errors import scripted_error
from paper_broker.fills import FillPlan
from paper_broker.formats import ZERO, JsonObject, identifier
from paper_broker.market import Market
from paper_broker.orders import Order


class OrderIntake:
    """Creates the orders of one exchange.

    Args:
        seed: seed of the IDs.
        market: assets and quotes.
    """

    def __init__(self, seed: int, market: Market) -> None:
        self._seed = seed
        self._market = market
        self.fill_plan = FillPlan(seed)
        self._last_submitted_at = 0
        self._orders_created = 0

    def new_order(self, ticket: Ticket, now: int, collar: Decimal | None) -> Order:
        """Return a new order, which is not in the order store yet.

        Args:
            ticket: an admitted order request.
            now: nanoseconds since the epoch.
            collar: worst price of an order without a limit.

        Raises:
            BrokerError: the fill rule of the order defines an error.
        """
        number = self._orders_created + 1
        client_order_id = ticket.client_order_id or identifier(self._seed, "client order", number)
        behaviour = self.fill_plan.choose(ticket, client_order_id)
        if behaviour.error is not None:
            raise scripted_error(behaviour.error)
        self._orders_created = number
        # Submission times are unique: paging by time must neither skip nor repeat an order.
        self._last_submitted_at = max(now, self._last_submitted_at + 1)
        quote = self._market.quotes.get(ticket.symbol)
        sale = ticket.side == "sell" and ticket.notional is not None
        return Order(
            id=identifier(self._seed, "order", number),
            client_order_id=client_order_id,
            symbol=ticket.symbol,
            side=ticket.side,
            type=ticket.type,
            asset_id=self._market.assets[ticket.symbol].id,
            behaviour=behaviour,
            time_in_force=ticket.time_in_force,
            submitted_at=self._last_submitted_at,
            updated_at=self._last_submitted_at,
            qty=ticket.qty,
            notional=ticket.notional,
            limit_price=ticket.limit_price,
            stop_price=ticket.stop_price,
            extended_hours=ticket.extended_hours,
            advanced_instructions=ticket.advanced_instructions,
            collar=collar,
            notional_hold=sale_qty(ticket.notional or ZERO, quote) if sale else ZERO,
        )

    def dump(self) -> JsonObject:
        """Return fill rules and counters, ready for JSON."""
        return {
            **self.fill_plan.dump(),
            "last_submitted_at": self._last_submitted_at,
            "orders_created": self._orders_created,
        }

    def load(self, state: JsonObject) -> None:
        """Restore dumped counters."""
        self.fill_plan.load_counts(state["submissions"])
        self._last_submitted_at, self._orders_created = state["last_submitted_at"], state["orders_created"]
