"""``EXECUTION_CONFIG``: single fields over defaults, everything else refused by name."""

from __future__ import annotations

from decimal import Decimal

import pytest
from pydantic import ValidationError

from rebalance_executor.domain.config import ExecutionConfig, OrderStyle
from rebalance_executor.domain.errors import ConfigurationError


@pytest.mark.parametrize("text", ["", "  \n", "{}"])
def test_nothing_said_means_the_defaults(text: str) -> None:
    assert ExecutionConfig.from_json(text) == ExecutionConfig()


def test_the_defaults_keep_what_the_contract_promises() -> None:
    config = ExecutionConfig()
    assert config.max_plan_age_minutes == 30
    assert config.max_runs >= 6
    assert config.order_style is OrderStyle.MARKETABLE_LIMIT


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


def test_a_configuration_cannot_be_changed_afterwards() -> None:
    config = ExecutionConfig()
    with pytest.raises(ValidationError, match="frozen"):
        config.max_runs = 7  # type: ignore[misc]


def test_every_field_says_its_unit_or_meaning() -> None:
    assert not [name for name, field in ExecutionConfig.model_fields.items() if not field.description]
