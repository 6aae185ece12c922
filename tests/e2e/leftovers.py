"""What a stack consists of, what its template retains when it is deleted, and how that is removed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from tests.e2e.system import System
from tests.infrastructure.templates import read

_RETAINED = ("Retain", "RetainExceptOnCreate")
_GONE = ("NotFound", "NoSuchBucket", "NonExistentQueue", "QueueDoesNotExist", "InvalidState")
_DAYS = 7
"""Days until AWS deletes a KMS key, at least."""


class Resource(NamedTuple):
    """A resource of a stack: name in the template, type, and ID in the account."""

    name: str
    type: str
    id: str


def resources_of(system: System) -> list[Resource]:
    """Return the present resources of the stack."""
    pages = system.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=system.stack)
    return [
        Resource(one["LogicalResourceId"], one["ResourceType"], one["PhysicalResourceId"])
        for page in pages
        for one in page["StackResourceSummaries"]
    ]


def retained(resources: Iterable[Sequence[str]]) -> list[Resource]:
    """Return those of these resources that survive their stack."""
    declared = read("template.yaml")["Resources"]
    found = (Resource(*one) for one in resources)
    return [one for one in found if declared.get(one.name, {}).get("DeletionPolicy") in _RETAINED]


def remove(system: System, resource: Resource) -> bool:
    """Remove a resource that was retained; return False if it does not exist any more.

    Raises:
        AssertionError: resources of this type cannot be removed.
    """
    how = _REMOVALS.get(resource.type)
    assert how is not None, f"remove {resource.name} ({resource.type}, {resource.id}) by hand"
    try:
        how(system, resource.id)
    except ClientError as error:
        if any(part in error.response["Error"]["Code"] for part in _GONE):
            return False
        raise
    return True


def _remove_table(system: System, name: str) -> None:
    client = system.client("dynamodb")
    if client.describe_table(TableName=name)["Table"].get("DeletionProtectionEnabled"):
        client.update_table(TableName=name, DeletionProtectionEnabled=False)
        client.get_waiter("table_exists").wait(TableName=name)
    client.delete_table(TableName=name)


def _remove_bucket(system: System, name: str) -> None:
    client = system.client("s3")
    for page in client.get_paginator("list_object_versions").paginate(Bucket=name):
        for one in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
            client.delete_object(Bucket=name, Key=one["Key"], VersionId=one["VersionId"])
    client.delete_bucket(Bucket=name)


def _remove_version(system: System, arn: str) -> None:
    function, _, version = arn.rpartition(":")
    system.client("lambda").delete_function(FunctionName=function, Qualifier=version)


_REMOVALS: dict[str, Callable[[System, str], Any]] = {
    "AWS::DynamoDB::Table": _remove_table,
    "AWS::S3::Bucket": _remove_bucket,
    "AWS::SQS::Queue": lambda system, url: system.client("sqs").delete_queue(QueueUrl=url),
    "AWS::Logs::LogGroup": lambda system, name: system.client("logs").delete_log_group(logGroupName=name),
    "AWS::KMS::Key": lambda system, key: system.client("kms").schedule_key_deletion(
        KeyId=key, PendingWindowInDays=_DAYS
    ),
    "AWS::Lambda::Version": _remove_version,
}
