"""A stack that is deployed again, and a version that is taken back: what was executed before stays executed.

Last of all: the local AWS gives the function a new alias, which nothing but a direct invocation finds.
"""

from __future__ import annotations

import pytest

from tests.e2e.system import OTHER_SYMBOL, System, a_plan


def test_a_plan_from_before_is_answered_by_the_upgraded_stack_and_after_the_roll_back(system: System) -> None:
    if system.upgrade is None or system.broker is None:
        pytest.skip("a real stack is deployed by its owner")
    client, function = system.client("lambda"), system.outputs["FunctionName"]
    plan = a_plan()
    result = system.invoke(plan)
    assert result["status"] == "success", result
    orders = system.broker.orders()

    system.upgrade(LogLevel="DEBUG")
    new = client.get_function_configuration(FunctionName=function, Qualifier="live")
    after_upgrade = system.invoke(plan)
    client.update_alias(FunctionName=function, Name="live", FunctionVersion="1")
    old = client.get_function_configuration(FunctionName=function, Qualifier="live")
    after_roll_back = system.invoke(plan)

    assert new["Environment"]["Variables"]["POWERTOOLS_LOG_LEVEL"] == "DEBUG"
    assert (new["Version"], old["Version"]) == ("2", "1")
    assert after_upgrade == after_roll_back == result
    assert system.broker.orders() == orders
    assert system.invoke(a_plan(symbol=OTHER_SYMBOL))["status"] == "success"
