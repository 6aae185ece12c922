"""Test of upgrade and rollback: plans executed before are not executed again.

Runs last, because the local AWS gives the function a new alias that only direct invocations use.
"""

from __future__ import annotations

import pytest

from tests.e2e.system import OTHER_SYMBOL, System, a_plan


def test_plan_executed_before_gets_its_stored_result_after_upgrade_and_rollback(system: System) -> None:
    if system.upgrade is None or system.broker is None:
        pytest.skip("a real stack is not deployed by this test")
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
    after_rollback = system.invoke(plan)

    assert new["Environment"]["Variables"]["POWERTOOLS_LOG_LEVEL"] == "DEBUG"
    assert (new["Version"], old["Version"]) == ("2", "1")
    assert after_upgrade == after_rollback == result
    assert system.broker.orders() == orders
    assert system.invoke(a_plan(symbol=OTHER_SYMBOL))["status"] == "success"
