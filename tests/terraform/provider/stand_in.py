"""A stand-in for Terraform providers: it knows their schemas, and nothing else. It is a test double, never a provider.

`terraform validate`, `terraform test` with mocked providers, and `terraform plan` run against it, so that they need neither the
providers nor an account. A plan echoes the configuration, with "known after apply" for what a provider would compute. Applying
is refused. Beside the schema it checks the few rules of `RULES`.
"""

from __future__ import annotations

import json
import os
import re
import sys
from concurrent import futures
from pathlib import Path

import grpc
import msgpack
from tfplugin_proto import tfplugin5_5_pb2 as messages
from tfplugin_proto import tfplugin5_5_pb2_grpc as services

MESSAGE_BYTES_MAX = 256 << 20
UNKNOWN = msgpack.ExtType(0, b"\x00")
NESTING = {
    "single": messages.Schema.NestedBlock.SINGLE,
    "list": messages.Schema.NestedBlock.LIST,
    "set": messages.Schema.NestedBlock.SET,
    "map": messages.Schema.NestedBlock.MAP,
}


def is_json(text: str) -> bool:
    try:
        json.loads(text)
        return True
    except ValueError:
        return False


def one_of(*words):
    return lambda value: value in words


def between(low, high):
    return lambda value: low <= value <= high


def matching(pattern):
    return lambda value: re.fullmatch(pattern, value) is not None


RETENTION_DAYS = (0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)
# What the cloud refuses although the type of the value is right.
RULES = {
    "aws_lambda_function": {
        "function_name": matching(r"[A-Za-z0-9_-]{1,64}"), "runtime": one_of("provided.al2023", "provided.al2"),
        "memory_size": between(128, 10240), "timeout": between(1, 900), "reserved_concurrent_executions": between(-1, 10_000),
    },
    "aws_lambda_function_url": {
        "authorization_type": one_of("AWS_IAM", "NONE"), "invoke_mode": one_of("BUFFERED", "RESPONSE_STREAM"),
    },
    "aws_lambda_function_event_invoke_config": {
        "maximum_retry_attempts": between(0, 2), "maximum_event_age_in_seconds": between(60, 21_600),
    },
    "aws_cloudwatch_log_group": {"retention_in_days": one_of(*RETENTION_DAYS)},
    "aws_iam_role": {"assume_role_policy": is_json, "name": matching(r"[\w+=,.@-]{1,64}")},
    "aws_iam_role_policy": {"policy": is_json},
    "aws_s3_bucket_policy": {"policy": is_json},
    "aws_sqs_queue": {"message_retention_seconds": between(60, 1_209_600)},
    "aws_sqs_queue_policy": {"policy": is_json},
    "aws_ecs_task_definition": {"container_definitions": is_json, "network_mode": one_of("awsvpc", "bridge", "host", "none")},
    "aws_lb_listener": {"port": between(1, 65_535), "protocol": one_of("TCP", "TLS", "UDP", "TCP_UDP", "HTTP", "HTTPS")},
    "aws_lb_target_group": {"name": matching(r"[A-Za-z0-9][A-Za-z0-9-]{0,31}"), "target_type": one_of("ip", "instance", "lambda", "alb")},
    "aws_lb": {"name": matching(r"[A-Za-z0-9][A-Za-z0-9-]{0,31}"), "load_balancer_type": one_of("network", "application", "gateway")},
    "aws_scheduler_schedule": {"schedule_expression": matching(r"(rate|cron|at)\(.+\)")},
    "aws_cloudwatch_dashboard": {"dashboard_body": is_json},
}


def message_of_block(block: dict) -> messages.Schema.Block:
    """A block as Terraform wants to hear it."""
    attributes = [
        messages.Schema.Attribute(
            name=name, type=json.dumps(attribute["type"]).encode(), required=attribute.get("required", False),
            optional=attribute.get("optional", False), computed=attribute.get("computed", False),
        )
        for name, attribute in block["attributes"].items()
    ]
    blocks = [
        messages.Schema.NestedBlock(
            type_name=name, block=message_of_block(nested["block"]), nesting=NESTING[nested["nesting"]],
            min_items=nested["min_items"], max_items=nested["max_items"],
        )
        for name, nested in block["blocks"].items()
    ]
    return messages.Schema.Block(version=0, attributes=attributes, block_types=blocks)


def message_of(schema: dict) -> messages.Schema:
    return messages.Schema(version=schema["version"], block=message_of_block(schema["block"]))


def decode(value):
    if value.msgpack:
        return msgpack.unpackb(value.msgpack, raw=False, strict_map_key=False)
    return json.loads(value.json) if value.json else None


def encode(value) -> messages.DynamicValue:
    return messages.DynamicValue(msgpack=msgpack.packb(value, use_bin_type=True))


def filled(schema: dict, value: dict | None, computed):
    """The value with what a provider would compute."""
    if value is not None:
        for name, attribute in schema["block"]["attributes"].items():
            if value.get(name) is None and attribute.get("computed"):
                value[name] = computed(name, attribute)
    return value


def placeholder(name: str, attribute: dict):
    kind = attribute["type"]
    if isinstance(kind, list):
        return {} if kind[0] == "map" else []
    return {"string": f"known-later-{name}", "number": 0, "bool": False}.get(kind)


class StandIn(services.ProviderServicer):
    """One provider."""

    def __init__(self, schema: dict) -> None:
        self.schema = schema

    def GetSchema(self, request, context):  # noqa: N802 (the protocol's name)
        return messages.GetProviderSchema.Response(
            provider=message_of(self.schema["provider"]),
            resource_schemas={name: message_of(schema) for name, schema in self.schema["resources"].items()},
            data_source_schemas={name: message_of(schema) for name, schema in self.schema["data"].items()},
        )

    def PrepareProviderConfig(self, request, context):  # noqa: N802
        return messages.PrepareProviderConfig.Response(prepared_config=request.config)

    def ValidateResourceTypeConfig(self, request, context):  # noqa: N802
        value, found = decode(request.config) or {}, []
        attributes = self.schema["resources"][request.type_name]["block"]["attributes"]
        for name, attribute in attributes.items():
            if attribute.get("computed") and not attribute.get("optional") and value.get(name) is not None:
                found.append(f"{name} of {request.type_name} is read-only")
        for name, holds in RULES.get(request.type_name, {}).items():
            given = value.get(name)
            if given is not None and not isinstance(given, msgpack.ExtType) and not holds(given):
                found.append(f"invalid {name} of {request.type_name}: {given!r}")
        diagnostics = [messages.Diagnostic(severity=messages.Diagnostic.ERROR, summary=text) for text in found]
        return messages.ValidateResourceTypeConfig.Response(diagnostics=diagnostics)

    def ValidateDataSourceConfig(self, request, context):  # noqa: N802
        return messages.ValidateDataSourceConfig.Response()

    def Configure(self, request, context):  # noqa: N802
        return messages.Configure.Response()

    def Stop(self, request, context):  # noqa: N802
        return messages.Stop.Response()

    def UpgradeResourceState(self, request, context):  # noqa: N802
        return messages.UpgradeResourceState.Response(upgraded_state=messages.DynamicValue(json=request.raw_state.json))

    def ReadResource(self, request, context):  # noqa: N802
        return messages.ReadResource.Response(new_state=request.current_state)

    def PlanResourceChange(self, request, context):  # noqa: N802
        schema = self.schema["resources"][request.type_name]
        planned = filled(schema, decode(request.proposed_new_state), lambda name, attribute: UNKNOWN)
        return messages.PlanResourceChange.Response(planned_state=encode(planned))

    def ApplyResourceChange(self, request, context):  # noqa: N802
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "this stand-in knows schemas only: nothing can be applied")

    def ReadDataSource(self, request, context):  # noqa: N802
        schema = self.schema["data"][request.type_name]
        return messages.ReadDataSource.Response(state=encode(filled(schema, decode(request.config), placeholder)))


def serve(schemas: dict[str, dict]) -> tuple[list, str]:
    """Starts one server for each provider; the text is what Terraform wants in TF_REATTACH_PROVIDERS."""
    servers, attached = [], {}
    limits = [("grpc.max_send_message_length", MESSAGE_BYTES_MAX), ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX)]
    for provider, schema in schemas.items():
        server = grpc.server(futures.ThreadPoolExecutor(8), options=limits)
        services.add_ProviderServicer_to_server(StandIn(schema), server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        address = {"Network": "tcp", "String": f"127.0.0.1:{port}"}
        attached[f"hashicorp/{provider}"] = {
            "Protocol": "grpc", "ProtocolVersion": 5, "Pid": os.getpid(), "Test": True, "Addr": address,
        }
    return servers, json.dumps(attached)


def main() -> None:
    """Serves the schemas of a file until it is ended: `stand_in.py SCHEMAS`."""
    servers, attached = serve(json.loads(Path(sys.argv[1]).read_text()))
    print(attached, flush=True)
    servers[0].wait_for_termination()


if __name__ == "__main__":
    main()
