"""``EXECUTION_CONFIG``: single fields over defaults, everything else refused by name."""

from __future__ import annotations

from decimal import Decimal

import pytest
from pydantic import ValidationError

from rebalance_executor.domain.config import ExecutionConfig, OrderStyle
from rebalance_executor.domain.errors import ConfigurationError
from rebalance_executor.domain.plan import Urgency
from rebalance_executor.domain.styles import SymbolOverride


@pytest.mark.parametrize("text", ["", "  \n", "{}"])
def test_nothing_said_means_the_defaults(text: str) -> None:
    assert ExecutionConfig.from_json(text) == ExecutionConfig()


def test_the_defaults_keep_what_the_contract_promises() -> None:
    config = ExecutionConfig()
    assert config.max_plan_age_minutes == 30
    assert config.max_runs >= 6
    assert config.order_style is OrderStyle.LADDER


def test_one_field_is_changed_and_the_others_stay() -> None:
    config = ExecutionConfig.from_json('{"price_collar": "0.01"}')
    assert config == ExecutionConfig(price_collar=Decimal("0.01"))


@pytest.mark.parametrize("spelling", ["0.01", '"0.01"', "1e-2", '"0.0100"'])
def test_amounts_may_be_numbers_or_texts(spelling: str) -> None:
    assert ExecutionConfig.from_json(f'{{"price_collar": {spelling}}}').price_collar == Decimal("0.01")


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('{"price_colar": 0.01}', "EXECUTION_CONFIG.price_colar"),
        ('{"price_collar": 0}', "EXECUTION_CONFIG.price_collar"),
        ('{"price_collar": 1}', "EXECUTION_CONFIG.price_collar"),
        ('{"price_collar": "NaN"}', "EXECUTION_CONFIG.price_collar"),
        ('{"cash_buffer": 1}', "EXECUTION_CONFIG.cash_buffer"),
        ('{"cash_buffer": -0.01}', "EXECUTION_CONFIG.cash_buffer"),
        ('{"max_runs": 5}', "EXECUTION_CONFIG.max_runs"),
        ('{"max_children": 0}', "EXECUTION_CONFIG.max_children"),
        ('{"max_children": 51}', "EXECUTION_CONFIG.max_children"),
        ('{"minimum_notional": 0.99}', "EXECUTION_CONFIG.minimum_notional"),
        ('{"tick_seconds": 0}', "EXECUTION_CONFIG.tick_seconds"),
        ('{"child_wait_seconds": true}', "EXECUTION_CONFIG.child_wait_seconds"),
        ('{"order_style": "stop"}', "EXECUTION_CONFIG.order_style"),
        ('{"order_style": "market_on_close"}', "EXECUTION_CONFIG.order_style"),
        ('{"ladder": {"LOW": {"aims": [0, 1]}}}', "EXECUTION_CONFIG.ladder.LOW.wait_seconds"),
        ('{"ladder": {"LOW": {"aims": [0, 0.5], "wait_seconds": 5}}}', "EXECUTION_CONFIG.ladder.LOW"),
        ('{"ladder": {"LOW": {"aims": [0.5, 0.5, 1], "wait_seconds": 5}}}', "EXECUTION_CONFIG.ladder.LOW"),
        ('{"ladder": {"LOW": {"aims": [-0.1, 1], "wait_seconds": 5}}}', "EXECUTION_CONFIG.ladder.LOW"),
        ('{"ladder": {"SLOW": {"aims": [1], "wait_seconds": 5}}}', "EXECUTION_CONFIG.ladder.SLOW"),
        ('{"per_symbol": {"XYZ": {"cash_buffer": 0}}}', "EXECUTION_CONFIG.per_symbol.XYZ.cash_buffer"),
        ('{"per_symbol": {"XYZ": {"order_style": "moc"}}}', "EXECUTION_CONFIG.per_symbol.XYZ.order_style"),
        ('{"extended_hours": true, "order_style": "market"}', "EXECUTION_CONFIG"),
        ('{"extended_hours": true, "last_rung_market": true}', "EXECUTION_CONFIG"),
        ('{"extended_hours": true, "per_symbol": {"XYZ": {"last_rung_market": true}}}', "EXECUTION_CONFIG"),
        ("[]", "EXECUTION_CONFIG"),
        ("null", "EXECUTION_CONFIG"),
        ("{", "EXECUTION_CONFIG"),
    ],
)
def test_a_bad_configuration_names_its_field(text: str, field: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        ExecutionConfig.from_json(text)
    assert raised.value.field == field
    assert raised.value.problem


@pytest.mark.parametrize("word", ["market_on_close", "limit-on-close", "MOC", "loc", "cls"])
def test_the_closing_auction_is_refused_in_words_of_its_own(word: str) -> None:
    with pytest.raises(ConfigurationError, match="closing auction are not supported") as raised:
        ExecutionConfig.from_json(f'{{"order_style": "{word}"}}')
    assert "use ladder" in raised.value.problem


def test_one_urgency_of_the_ladder_is_changed_and_the_others_stay() -> None:
    config = ExecutionConfig.from_json('{"ladder": {"LOW": {"aims": ["0.2", 1], "wait_seconds": 7}}}')
    assert config.ladder[Urgency.LOW].spread_fractions == (Decimal("0.2"), Decimal(1))
    assert config.ladder[Urgency.NORMAL] == ExecutionConfig().ladder[Urgency.NORMAL]


def test_a_symbol_may_have_its_own_execution_fields() -> None:
    config = ExecutionConfig.from_json('{"per_symbol": {"xyz": {"last_rung_market": true, "price_collar": "0.05"}}}')
    own = config.for_symbol("XYZ")
    assert (own.last_rung_market, own.price_collar, own.max_children) == (True, Decimal("0.05"), config.max_children)
    assert config.for_symbol("ABC") == config
    assert config.widest_collar == Decimal("0.05")


@pytest.mark.parametrize("name", SymbolOverride.model_fields)
def test_a_symbols_field_has_the_bounds_of_the_whole(name: str) -> None:
    whole, own = ExecutionConfig.model_json_schema()["properties"], SymbolOverride.model_json_schema()["properties"]
    kept = {key: value for key, value in whole[name].items() if key not in ("default", "description", "title")}
    accepted = kept.get("anyOf", [kept])
    assert own[name]["anyOf"][-1] == {"type": "null"}
    told = own[name]["anyOf"][:-1]
    assert (told[0].get("anyOf", told) if len(told) == 1 else told) == accepted


def test_a_configuration_cannot_be_changed_afterwards() -> None:
    config = ExecutionConfig()
    with pytest.raises(ValidationError, match="frozen"):
        config.max_runs = 7  # type: ignore[misc]


def test_every_field_says_its_unit_or_meaning() -> None:
    assert not [name for name, field in ExecutionConfig.model_fields.items() if not field.description]
