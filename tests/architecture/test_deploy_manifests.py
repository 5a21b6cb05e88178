"""Compose, Kubernetes, Envoy and the image against the gateway: keys, secrets, commands, ports, paths, users and times."""

from __future__ import annotations

import inspect
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
import asyncpg
import pytest
import typer

from gateway.adapters.loopback import is_loopback_address
from gateway.cli.main import app
from gateway.cli.running import require_reach
from gateway.cli.supervisor import _KILL_AFTER_S
from gateway.key_bootstrap import key_files
from gateway.process import _LAST_ENTRIES_S
from gateway.settings import Settings, load_settings
from tests.adapters.test_admin import House, serving
from tests.architecture.deploy_files import (
    COMPOSE,
    DEPLOY,
    ENVOY,
    MANIFESTS,
    ROOT,
    RULES,
    document,
    documents,
    manifest,
    pods,
    values_of,
)

SETTINGS: Final[Settings] = load_settings(DEPLOY / "settings")
SERVICES: Final[Mapping[str, Any]] = COMPOSE["services"]
STATEFUL: Final = manifest("StatefulSet", "xinyidai-gateway")
POD: Final = STATEFUL["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
DOCKERFILE: Final = (ROOT / "Dockerfile").read_text(encoding="utf-8")
PAGE: Final = (DEPLOY / "README.md").read_text(encoding="utf-8")
BESIDES: Final = {"/etc/xinyidai", "/run/secrets", "/tmp"}
"""What is mounted beside folders that the image has."""


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


GRPC: Final = port_of(SETTINGS.gateway.server.listen)
ADMIN: Final = port_of(SETTINGS.gateway.admin.listen)


def named_secrets(text: str) -> set[str]:
    return set(re.findall(r"/run/secrets/([\w.]+)", text))


def gateway_s_secrets() -> set[str]:
    return named_secrets((DEPLOY / "settings" / "gateway.toml").read_text(encoding="utf-8")) | {"postgres_ca.pem"}


def images_of_ours() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Gives what runs the gateway's image, by the place it stands at."""
    for name, service in SERVICES.items():
        if service["image"].startswith("xinyidai-gateway"):
            yield f"compose: {name}", service
    for pod in pods():
        for container in pod["containers"]:
            yield f"kubernetes: {container['name']}", container


OURS: Final = list(images_of_ours())


def commands() -> Iterator[tuple[str, list[str]]]:
    """Gives each command line of ours, by its place."""
    for place, one in OURS:
        yield place, one["command"]
    yield "Dockerfile", re.findall(r'"([^"]+)"', re.search(r"^CMD (.*)$", DOCKERFILE, re.M)[1])  # type: ignore[index]
    for line in re.findall(r"`(xinyidai [^`]+)`", PAGE):
        if not re.search(r"[A-Z,]", line.replace("--host NAME", "").replace("DIR", "")):
            yield f"README.md: {line}", shlex.split(line)


COMMANDS: Final = list(commands())


def test_the_settings_are_ones_that_may_be_served_beyond_loopback() -> None:
    stated = SETTINGS.gateway

    require_reach(SETTINGS, stated.server.listen, stated.server.tls.files())
    assert not is_loopback_address(stated.server.listen)
    assert not is_loopback_address(stated.admin.listen)
    assert stated.consent.enforced
    assert stated.archive.enabled
    assert stated.identity.seen_tokens == stated.store.url


def test_every_key_of_the_settings_that_can_be_a_secret_is_mounted_and_on_the_page() -> None:
    needed = gateway_s_secrets()

    assert {path.name for path in key_files(SETTINGS, SETTINGS.gateway.audit.path).values()} <= needed
    assert set(SERVICES["gateway"]["secrets"]) == needed
    assert [name for name in {*needed, *COMPOSE["secrets"]} if f"`{name}`" not in PAGE] == []


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_of_compose_has_the_secrets_that_it_names(name: str) -> None:
    service = SERVICES[name]
    contents = [COMPOSE["configs"][each["source"]]["content"] for each in service.get("configs", ())]
    secrets = set(service.get("secrets", ()))

    assert named_secrets(f"{service} {contents}") <= secrets
    for secret in secrets:
        assert COMPOSE["secrets"][secret]["file"].endswith(f"/{secret}")


def test_the_upgrade_has_what_the_store_needs_and_no_more() -> None:
    store = SETTINGS.gateway.store

    assert set(SERVICES["store-upgrade"]["secrets"]) == named_secrets(f"{store.url} {store.seal_key}") | {
        "postgres_ca.pem"
    }


@pytest.mark.parametrize(("place", "command"), COMMANDS, ids=[place for place, _ in COMMANDS])
def test_a_command_is_one_of_the_gateway_s_with_options_it_has(place: str, command: list[str]) -> None:
    name, *rest = command

    assert name == "xinyidai"
    at: Any = app
    context = typer.Context(at)
    while rest and hasattr(at, "resolve_command"):
        _, at, rest = at.resolve_command(context, rest)
        context = typer.Context(at, parent=context)
    at.make_context(at.name, [str(DEPLOY) if one == "DIR" else one for one in rest], resilient_parsing=False)


@pytest.mark.parametrize(("place", "one"), OURS, ids=[place for place, _ in OURS])
def test_what_runs_our_image_is_this_version_read_only_and_without_rights(place: str, one: Mapping[str, Any]) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    stated = one.get("securityContext")

    assert one["image"] == f"xinyidai-gateway:{version}"
    if stated is None:
        assert (one["read_only"], one["cap_drop"], one["security_opt"]) == (True, ["ALL"], ["no-new-privileges:true"])
    else:
        assert stated == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    environment = one.get("environment") or {each["name"]: each["value"] for each in one.get("env", ())}
    assert environment in ({}, {"PGSSLROOTCERT": "/run/secrets/postgres_ca.pem"})
    assert "'PGSSLROOTCERT'" in inspect.getsource(asyncpg.connect_utils)


def test_images_are_plain_names_with_a_version() -> None:
    images = [*values_of(COMPOSE, "image"), *values_of(MANIFESTS, "image")]

    assert [one for one in images if not re.fullmatch(r"([a-z]+/)?[a-z-]+:v?\d[\w.]*", one)] == []


def test_the_user_is_a_number_and_the_same_everywhere() -> None:
    (user,) = re.findall(r"^USER (\d+):\1$", DOCKERFILE, re.M)

    assert f"useradd --uid {user} " in DOCKERFILE
    assert f"-o {user} -g {user} " in DOCKERFILE
    for pod in pods():
        context = pod["securityContext"]
        assert context["runAsNonRoot"]
        assert {context[key] for key in ("runAsUser", "runAsGroup", "fsGroup")} == {int(user)}
        assert pod["automountServiceAccountToken"] is False


def test_what_the_gateway_writes_lies_on_volumes_over_folders_of_the_image() -> None:
    (made,) = re.findall(r"install -d .* -m 700 (.*)$", DOCKERFILE, re.M)
    audit = SETTINGS.gateway.audit
    written = {str(audit.path.parent), str(Path(audit.anchor.file).parent)}
    claims = {one["metadata"]["name"] for one in STATEFUL["spec"]["volumeClaimTemplates"]}

    assert written == set(made.split())
    assert f"WORKDIR {audit.path.parent}" in DOCKERFILE
    mounts = {one["mountPath"]: one["name"] for one in CONTAINER["volumeMounts"]}
    assert {path for path, name in mounts.items() if name in claims} == written
    assert mounts.keys() == written | BESIDES
    stated = [one.split(":") for one in SERVICES["gateway"]["volumes"]]
    assert {path for name, path, *_ in stated if name in COMPOSE["volumes"]} == written


async def test_whatever_asks_the_admin_port_asks_for_what_it_has() -> None:
    health = " ".join(SERVICES["gateway"]["healthcheck"]["test"])
    probes = {key: CONTAINER[key]["httpGet"] for key in ("startupProbe", "livenessProbe", "readinessProbe")}
    (check,) = values_of(ENVOY, "http_health_check")
    paths = {
        *re.findall(rf"127\.0\.0\.1:{ADMIN}(/\w+)", health),
        *(one["path"] for one in probes.values()),
        check["path"],
    }

    assert paths == {"/healthz", "/readyz"}
    assert (probes["livenessProbe"]["path"], probes["readinessProbe"]["path"]) == ("/healthz", "/readyz")
    assert {one["port"] for one in probes.values()} == {"admin"}
    async with serving(House()) as url, aiohttp.ClientSession() as session:
        for path in {*paths, "/metrics"}:
            async with session.get(f"{url}{path}") as response:
                assert response.status != 404


def test_whoever_ends_the_gateway_gives_it_the_time_to_drain_and_to_close() -> None:
    closing_s = max(_LAST_ENTRIES_S, _KILL_AFTER_S) + 5.0
    needed_s = SETTINGS.gateway.server.drain_s + closing_s
    (served_on_s,) = (float(one) for one in CONTAINER["lifecycle"]["preStop"]["exec"]["command"][1:])
    (by_hand_s,) = re.findall(r"docker stop -t (\d+)", DOCKERFILE)

    assert float(SERVICES["gateway"]["stop_grace_period"].removesuffix("s")) >= needed_s
    assert float(POD["terminationGracePeriodSeconds"]) >= served_on_s + needed_s
    assert float(by_hand_s) >= needed_s


def test_ports_are_those_that_the_gateway_listens_on() -> None:
    (exposed,) = re.findall(r"^EXPOSE (.*)$", DOCKERFILE, re.M)
    stated = {one["name"]: one["containerPort"] for one in CONTAINER["ports"]}
    services = {one["metadata"]["name"]: one for one in MANIFESTS if one["kind"] == "Service"}

    assert exposed.split() == [str(GRPC), str(ADMIN)]
    assert stated == {"grpc": GRPC, "admin": ADMIN}
    assert SERVICES["gateway"]["ports"] == [f"{GRPC}:{GRPC}"]
    for service in services.values():
        for port in service["spec"]["ports"]:
            assert port["port"] == stated[port["targetPort"]]
    names = [
        port["port"]
        for rule in manifest("NetworkPolicy", "xinyidai-gateway")["spec"]["ingress"]
        for port in rule["ports"]
    ]
    assert sorted(names) == sorted(stated)


def test_objects_of_kubernetes_find_each_other() -> None:
    labels = STATEFUL["spec"]["template"]["metadata"]["labels"]
    headless = manifest("Service", STATEFUL["spec"]["serviceName"])["spec"]
    selectors = [
        manifest("Service", "xinyidai-gateway")["spec"]["selector"],
        headless["selector"],
        STATEFUL["spec"]["selector"]["matchLabels"],
        manifest("PodDisruptionBudget", "xinyidai-gateway")["spec"]["selector"]["matchLabels"],
        manifest("NetworkPolicy", "xinyidai-gateway")["spec"]["podSelector"]["matchLabels"],
    ]
    job = manifest("Job", "xinyidai-store-upgrade")["spec"]["template"]

    assert headless["clusterIP"] == "None"
    assert all(selector == labels for selector in selectors)
    assert job["metadata"]["labels"] != labels
    for pod in pods():
        volumes = {one["name"]: one for one in pod["volumes"]}
        assert f"create configmap {volumes['settings']['configMap']['name']} " in PAGE
        assert f"create secret generic {volumes['secrets']['secret']['secretName']} " in PAGE
    assert f"job/{manifest('Job', 'xinyidai-store-upgrade')['metadata']['name']}" in PAGE


def test_envoy_passes_tls_through_to_the_gateways_and_ends_none() -> None:
    filters = sorted(one.rpartition(".")[2] for one in values_of(ENVOY["static_resources"]["listeners"], "@type"))
    (listener,) = ENVOY["static_resources"]["listeners"]
    (endpoint,) = values_of(ENVOY["static_resources"]["clusters"], "endpoint")
    (names,) = values_of(ENVOY, "server_names")

    assert filters == ["TcpProxy", "TlsInspector"]
    assert list(values_of(ENVOY, "transport_socket")) == []
    assert listener["address"]["socket_address"]["port_value"] == GRPC
    assert endpoint["address"]["socket_address"] == {"address": STATEFUL["spec"]["serviceName"], "port_value": GRPC}
    assert endpoint["health_check_config"]["port_value"] == ADMIN
    assert names
    allowed = manifest("NetworkPolicy", "xinyidai-gateway")["spec"]["ingress"][1]["from"][1]["podSelector"][
        "matchLabels"
    ]
    assert all(f"`{label}: {value}`" in PAGE for label, value in allowed.items())


def test_prometheus_scrapes_the_gateway_of_compose_as_the_job_that_the_rules_know() -> None:
    (scraping,) = documents(COMPOSE["configs"]["prometheus.yaml"]["content"])
    (example,) = document(DEPLOY / "prometheus" / "scrape.yaml")["scrape_configs"]

    (job,) = scraping["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"gateway:{ADMIN}"]}]
    assert job["job_name"] == example["job_name"]
    assert f"job_name: {job['job_name']}" in PAGE
    assert f"port: {ADMIN}" in PAGE
    assert scraping["rule_files"] == [RULES.name]
    assert f"../prometheus/{RULES.name}:/etc/prometheus/{RULES.name}:ro" in SERVICES["prometheus"]["volumes"]


def test_whatever_compose_takes_from_this_repository_is_there() -> None:
    folder = DEPLOY / "compose"
    taken = {(folder / one).resolve() for one in re.findall(r"(?:\.\./)+[\w./-]*|\.\./\.\./\.\.", str(COMPOSE))}

    assert taken == {DEPLOY / "settings", DEPLOY / "grafana", RULES, ROOT}
