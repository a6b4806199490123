"""The allowed connections between pods, computed from the rendered network policies by Kubernetes' rules."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

import pytest
from manifests import Objects

Pod = tuple[str, dict[str, str]]

STEP: Pod = ("kubeflow", {"pipelines.kubeflow.org/v2_component": "true"})
HOST: Pod = ("kubeflow", {"gan-pipeline/host": "true", "pipelines.kubeflow.org/v2_component": "true"})
KFP_API: Pod = ("kubeflow", {"app": "ml-pipeline"})
MYSQL: Pod = ("kubeflow", {"app": "mysql"})
OTHER: Pod = ("default", {"app": "other"})
MLFLOW: Pod = ("mlflow", {"app": "mlflow"})
MAINTENANCE: Pod = ("mlflow", {"app": "mlflow-maintenance"})
POSTGRES: Pod = ("mlflow", {"app": "postgres"})
PREDICTOR: Pod = ("gan-serving", {"app": "isvc.champion-predictor"})
CLIENT: Pod = ("shop", {"app": "shop"})
DNS: Pod = ("kube-system", {"k8s-app": "kube-dns"})
GOOGLE, METADATA, DATABASE, INTERNET = "199.36.153.9", "169.254.169.254", "10.30.0.5", "93.184.216.34"
NAMESPACE_LABELS = {"shop": {"gan-pipeline/client": "true"}}


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    expressions = selector.get("matchExpressions", [])
    assert all(expression["operator"] == "In" for expression in expressions)
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        labels.get(expression["key"]) in expression["values"] for expression in expressions
    )


def matches(peer: dict[str, Any], other: Pod | str, namespace: str) -> bool:
    if isinstance(other, str):
        return "ipBlock" in peer and ipaddress.ip_address(other) in ipaddress.ip_network(peer["ipBlock"]["cidr"])
    if "ipBlock" in peer:
        return False
    other_namespace, labels = other
    if "namespaceSelector" in peer:
        names = {"kubernetes.io/metadata.name": other_namespace, **NAMESPACE_LABELS.get(other_namespace, {})}
        if not selects(peer["namespaceSelector"], names):
            return False
    elif other_namespace != namespace:
        return False
    return selects(peer.get("podSelector", {}), labels)


def permits(objects: Objects, pod: Pod, other: Pod | str, port: int, direction: str) -> bool:
    """Returns whether `pod` may connect to `other`: no policy selects `pod`, or one that does allows the connection."""
    namespace, labels = pod
    policies = [
        item["spec"]
        for item in objects
        if item["kind"] == "NetworkPolicy"
        and item["metadata"]["namespace"] == namespace
        and direction in item["spec"]["policyTypes"]
        and selects(item["spec"]["podSelector"], labels)
    ]
    side = {"Egress": "to", "Ingress": "from"}[direction]
    return not policies or any(
        port in [entry["port"] for entry in rule["ports"]] and any(matches(p, other, namespace) for p in rule[side])
        for policy in policies
        for rule in policy.get(direction.lower(), [])
    )


def reaches(objects: Objects, source: Pod, target: Pod | str, port: int) -> bool:
    return permits(objects, source, target, port, "Egress") and (
        isinstance(target, str) or permits(objects, target, source, port, "Ingress")
    )


@pytest.mark.parametrize(
    ("overlay", "connection", "expected"),
    [
        ("gke", (STEP, MLFLOW, 5000), True),
        ("local", (STEP, MLFLOW, 5000), True),
        ("gke", (STEP, KFP_API, 8887), True),
        ("gke", (STEP, DNS, 53), True),
        ("gke", (STEP, GOOGLE, 443), True),
        ("gke", (STEP, METADATA, 80), True),
        ("gke", (STEP, "10.20.0.2", 443), True),  # the Kubernetes API
        ("local", (STEP, "172.18.0.2", 6443), True),
        ("gke", (STEP, INTERNET, 443), False),
        ("gke", (STEP, DATABASE, 5432), False),
        ("gke", (STEP, MYSQL, 3306), False),
        ("gke", (STEP, PREDICTOR, 8080), False),
        ("gke", (OTHER, STEP, 8080), False),
        ("local", (STEP, GOOGLE, 443), False),
        ("local", (STEP, POSTGRES, 5432), False),
        ("gke", (OTHER, MLFLOW, 5000), False),
        ("gke", (PREDICTOR, MLFLOW, 5000), False),
        ("gke", (MLFLOW, DATABASE, 5432), True),
        ("gke", (MAINTENANCE, DATABASE, 5432), True),
        ("gke", (MLFLOW, GOOGLE, 443), True),
        ("gke", (MAINTENANCE, GOOGLE, 443), True),
        ("gke", (MLFLOW, INTERNET, 443), False),
        ("gke", (MLFLOW, DNS, 53), True),
        ("local", (MLFLOW, POSTGRES, 5432), True),
        ("local", (MAINTENANCE, POSTGRES, 5432), True),
        ("local", (OTHER, POSTGRES, 5432), False),
        ("local", (POSTGRES, INTERNET, 443), False),
        ("gke", (CLIENT, PREDICTOR, 8080), True),
        ("gke", (OTHER, PREDICTOR, 8080), False),
        ("gke", (PREDICTOR, GOOGLE, 443), True),
        ("gke", (PREDICTOR, DNS, 53), True),
        ("gke", (PREDICTOR, INTERNET, 443), False),
        ("gke", (PREDICTOR, DATABASE, 5432), False),
    ],
)
def test_only_the_named_connections_are_open(
    render: Callable[..., Objects], overlay: str, connection: tuple[Pod, Pod | str, int], expected: bool
) -> None:
    assert reaches(render(overlay), *connection) is expected


@pytest.mark.parametrize(
    ("connection", "expected"),
    [
        ((HOST, HOST, 2222), True),
        ((HOST, HOST, 22), False),
        ((STEP, HOST, 2222), False),
        ((OTHER, HOST, 2222), False),
        ((HOST, STEP, 2222), False),
        ((HOST, MLFLOW, 5000), True),
        ((HOST, DNS, 53), True),
        ((HOST, MYSQL, 3306), False),
    ],
)
def test_hosts_of_a_training_meet_at_one_port_only(
    render: Callable[..., Objects], connection: tuple[Pod, Pod, int], expected: bool
) -> None:
    assert reaches(render("local", "trainer"), *connection) is expected
