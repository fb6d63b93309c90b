"""Publishes a bundle with the client that openapi-python-client makes of the API document."""

import os
from typing import TypeVar

from brokkr_client import AuthenticatedClient
from brokkr_client.api.auth import verify_pak
from brokkr_client.api.stacks import create_deployment_object, create_stack, list_deployment_objects, stacks_add_label
from brokkr_client.models import AuthResponse, CreateDeploymentObjectRequest, DeploymentObject, NewStack, Stack, StackLabel

MANIFEST = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: from-python\n"
T = TypeVar("T")


def must(kind: type[T], answer: object) -> T:
    """Returns the answer, which must be of this kind."""
    if not isinstance(answer, kind):
        raise SystemExit(f"answered {answer!r}, want {kind.__name__}")
    return answer


def main() -> None:
    api = AuthenticatedClient(base_url=os.environ["BROKKR_URL"] + "/api/v1", token=os.environ["BROKKR_PAK"])
    who = must(AuthResponse, verify_pak.sync(client=api))
    if not who.generator:
        raise SystemExit("the key is no generator's")
    stack = must(Stack, create_stack.sync(client=api, body=NewStack(name="from-python", generator_id=who.generator)))
    must(StackLabel, stacks_add_label.sync(stack.id, client=api, body="env:test"))
    made = must(
        DeploymentObject,
        create_deployment_object.sync(stack.id, client=api, body=CreateDeploymentObjectRequest(yaml_content=MANIFEST)),
    )
    objects = list_deployment_objects.sync(stack.id, client=api)
    if not isinstance(objects, list) or len(objects) != 1 or objects[0].id != made.id or objects[0].yaml_content != MANIFEST:
        raise SystemExit(f"listed {objects!r}, want what was published")
    print(f"published {made.id} with sequence {made.sequence_id}")


main()
