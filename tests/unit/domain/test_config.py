"""``EXECUTION_CONFIG``: single fields override defaults; an invalid field is named."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from pydantic import BaseModel, ValidationError

from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import ConfigurationError
from rebalance_executor.domain.limits import Limits
from rebalance_executor.domain.market import CENT, HALF_CENT
from rebalance_executor.domain.plan import Urgency
from rebalance_executor.domain.styles import LadderSteps, OrderStyle, SymbolOverride
from rebalance_executor.domain.values import DAY_MINUTES, DAY_SECONDS


@pytest.mark.parametrize("text", ["", "  \n", "{}"])
def test_empty_configuration_gives_the_defaults(text: str) -> None:
    assert ExecutionConfig.from_json(text) == ExecutionConfig()


def test_defaults_match_the_contract() -> None:
    config = ExecutionConfig()
    assert config.max_plan_age_minutes == 30
    assert config.max_runs >= 6
    assert config.order_style is OrderStyle.LADDER


def test_one_field_is_overridden_and_the_others_keep_their_defaults() -> None:
    config = ExecutionConfig.from_json('{"price_collar": "0.01"}')
    assert config == ExecutionConfig(price_collar=Decimal("0.01"))


@pytest.mark.parametrize("spelling", ["0.01", '"0.01"', "1e-2", '"0.0100"'])
def test_amounts_may_be_numbers_or_strings(spelling: str) -> None:
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
        ('{"tick_size": 0}', "EXECUTION_CONFIG.tick_size"),
        ('{"tick_size": "0.001"}', "EXECUTION_CONFIG.tick_size"),
        ('{"per_symbol": {"XYZ": {"tick_size": 0.05}}}', "EXECUTION_CONFIG.per_symbol.XYZ.tick_size"),
        ('{"extended_hours": true, "order_style": "market"}', "EXECUTION_CONFIG"),
        ('{"extended_hours": true, "last_rung_market": true}', "EXECUTION_CONFIG"),
        ('{"extended_hours": true, "per_symbol": {"XYZ": {"last_rung_market": true}}}', "EXECUTION_CONFIG"),
        ('{"max_participation": 0}', "EXECUTION_CONFIG.max_participation"),
        ('{"max_participation": "1.01"}', "EXECUTION_CONFIG.max_participation"),
        ('{"slice_over_volume": 0}', "EXECUTION_CONFIG.slice_over_volume"),
        ('{"slice_over_displayed": 0}', "EXECUTION_CONFIG.slice_over_displayed"),
        ('{"slice_minutes": 391}', "EXECUTION_CONFIG.slice_minutes"),
        ('{"slice_minutes": 20, "plan_time_limit_minutes": 19}', "EXECUTION_CONFIG"),
        ('{"display_qty": 150, "display_destination": "NYSE"}', "EXECUTION_CONFIG.display_qty"),
        ('{"display_qty": 100}', "EXECUTION_CONFIG"),
        ('{"display_destination": "ARCA"}', "EXECUTION_CONFIG"),
        ('{"display_qty": 100, "display_destination": "LSE"}', "EXECUTION_CONFIG.display_destination"),
        ("[]", "EXECUTION_CONFIG"),
        ("null", "EXECUTION_CONFIG"),
        ("{", "EXECUTION_CONFIG"),
    ],
)
def test_invalid_configuration_names_its_field(text: str, field: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        ExecutionConfig.from_json(text)
    assert raised.value.field == field
    assert raised.value.problem


@pytest.mark.parametrize("word", ["market_on_close", "limit-on-close", "MOC", "loc", "cls", "market_on_open", "opg"])
def test_auction_as_an_order_style_names_the_field_of_the_plan(word: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        ExecutionConfig.from_json(f'{{"order_style": "{word}"}}')
    assert "execution_style" in raised.value.problem


def test_one_urgency_of_the_ladder_is_overridden_and_the_others_keep_their_defaults() -> None:
    config = ExecutionConfig.from_json('{"ladder": {"LOW": {"aims": ["0.2", 1], "wait_seconds": 7}}}')
    assert config.ladder[Urgency.LOW].spread_fractions == (Decimal("0.2"), Decimal(1))
    assert config.ladder[Urgency.NORMAL] == ExecutionConfig().ladder[Urgency.NORMAL]


def test_symbol_may_override_execution_settings() -> None:
    config = ExecutionConfig.from_json('{"per_symbol": {"xyz": {"last_rung_market": true, "price_collar": "0.05"}}}')
    own = config.for_symbol("XYZ")
    assert (own.last_rung_market, own.price_collar, own.max_children) == (True, Decimal("0.05"), config.max_children)
    assert config.for_symbol("ABC") == config
    assert config.widest_collar == Decimal("0.05")


@pytest.mark.parametrize("spelling", ["0.005", '"0.005"', '"0.0050"', "5e-3"])
def test_tick_size_is_a_cent_or_half_a_cent_of_one_symbol_or_of_all(spelling: str) -> None:
    text = f'{{"tick_size": "0.01", "per_symbol": {{"XYZ": {{"tick_size": {spelling}}}}}}}'
    config = ExecutionConfig.from_json(text)
    assert (config.for_symbol("XYZ").tick_size, config.for_symbol("ABC").tick_size) == (HALF_CENT, CENT)
    assert ExecutionConfig().tick_size is None


@pytest.mark.parametrize("name", SymbolOverride.model_fields)
def test_symbol_override_has_the_bounds_of_the_global_field(name: str) -> None:
    whole, own = ExecutionConfig.model_json_schema()["properties"], SymbolOverride.model_json_schema()["properties"]
    kept = {key: value for key, value in whole[name].items() if key not in ("default", "description", "title")}
    null = {"type": "null"}
    accepted = [type_ for type_ in kept.get("anyOf", [kept]) if type_ != null]
    assert own[name]["anyOf"][-1] == null
    types = own[name]["anyOf"][:-1]
    assert (types[0].get("anyOf", types) if len(types) == 1 else types) == accepted


def test_configuration_is_frozen() -> None:
    config = ExecutionConfig()
    with pytest.raises(ValidationError, match="frozen"):
        config.max_runs = 7  # type: ignore[misc]


def test_every_field_has_a_description() -> None:
    assert not [name for name, field in ExecutionConfig.model_fields.items() if not field.description]


# --- bounds of durations ---------------------------------------------------------------------------------

DAYS = {"seconds": DAY_SECONDS, "minutes": DAY_MINUTES}
CENTURY_DAYS = 36_600
DURATIONS = [
    (model, name, unit)
    for model in (ExecutionConfig, Limits, SymbolOverride, LadderSteps)
    for name, field in model.model_fields.items()
    for unit in DAYS
    if name.endswith(f"_{unit}") and field.annotation is not bool
]


@pytest.mark.parametrize(("model", "name", "unit"), DURATIONS)
def test_duration_longer_than_a_day_in_its_own_unit_is_invalid(model: type[BaseModel], name: str, unit: str) -> None:
    days = CENTURY_DAYS if name == "max_plan_age_minutes" else 1
    with pytest.raises(ValidationError) as raised:
        model.model_validate({name: days * DAYS[unit] + 1})
    assert "less_than_equal" in [error["type"] for error in raised.value.errors() if error["loc"][0] == name]


def test_one_day_is_the_same_time_in_every_unit() -> None:
    assert timedelta(seconds=DAY_SECONDS) == timedelta(minutes=DAY_MINUTES) == timedelta(days=1)


@pytest.mark.parametrize("name", ["plan_time_limit_minutes", "asset_cache_days", "duplicate_window_minutes"])
def test_a_day_in_seconds_is_too_long_for_a_field_in_minutes_or_hours(name: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        ExecutionConfig.from_json(f'{{"{name}": 86400}}')
    assert raised.value.field == f"EXECUTION_CONFIG.{name}"
    with pytest.raises(ValidationError, match=name):
        ExecutionConfig.model_validate({name: DAY_SECONDS})
